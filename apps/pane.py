"""HTML of one pane: whatever a model wrote is put in as text."""

import difflib
import functools
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from . import words
from .answers import Answer
from .catalog import Part

# From here on a token counts as drifted; colors have two steps above it.
_STEPS = (0.1, 0.5, 1.5)
# Marks an answer that can go on: `style.css` hides "Continue" without it.
# Gradio could lose an update of the button itself, for its page applies what
# comes next to updates that it has not shown yet.
CUT = '<span hidden data-part="cut"></span>'
_ENDINGS = {
    "end": "The model ended it.",
    "stop": "Ended at the first line break.",
    "length": "Cut at the length that you chose. Continue?",
}


def heading(part: Part) -> str:
    """How the model of a pane stands, and what it holds in memory."""
    said = " ".join(filter(None, (part.message, part.memory)))
    kind = "kg-error" if part.state == "failed" else "kg-memory"
    return f'<p class="kg-about {kind}">{escape(said) or "&nbsp;"}</p>'


def answer(
    title: str,
    found: Answer,
    turns: Sequence[tuple[str, str]] = (),
    as_markdown: bool = False,
) -> str:
    """The answer as a region that scrolls, with a button that copies it.

    `title` names the pane for those who do not see it.
    """
    name = escape(title, quote=True)
    said = "".join(
        f'<p class="kg-said">{escape(own)}</p>'
        + _body(other, (), (), as_markdown)
        for own, other in turns
    )
    text = found.text.lstrip("\n")
    cut = len(found.text) - len(text)
    lengths = [max(0, length - cut) for length in found.lengths]
    body = _body(text, lengths, found.drift, as_markdown)
    if not text:
        body = '<p class="kg-none">No answer yet</p>'
        if found.state in ("done", "stopped"):
            body = '<p class="kg-none">Empty</p>'
    return (
        f'<div class="kg-drifted"><div class="kg-answer" role="region" '
        f'tabindex="0" aria-label="{name}: answer">{said}{body}</div>'
        f'<button type="button" class="kg-copy" aria-label="Copy {name} '
        'answer">Copy</button><output class="kg-readout"></output></div>'
    )


def _body(
    text: str,
    lengths: Sequence[int],
    drift: Sequence[float],
    as_markdown: bool,
) -> str:
    if as_markdown:
        return f'<div class="kg-text kg-markdown">{_markdown(text)}</div>'
    if not drift:
        return f'<div class="kg-text">{escape(text)}</div>'
    parts, start = [], 0
    for length, value in zip(lengths, drift, strict=False):
        parts.append(_colored(text[start:length], value))
        start = max(start, length)
    return f'<div class="kg-text">{"".join(parts)}{escape(text[start:])}</div>'


def _markdown(text: str) -> str:
    """HTML of a text in Markdown.

    HTML in it is shown as text. Links and images are too: nothing that a
    model writes fetches anything, or leads anywhere.
    """
    html: str = _parser().render(text)
    return html


@functools.cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.enable(["table", "strikethrough"])
    return parser.disable(
        ["link", "image", "autolink", "reference", "html_inline", "html_block"]
    )


def _colored(text: str, value: float) -> str:
    """A token with its drift under it, and the number on pointing."""
    if not text:
        return ""
    step = sum(abs(value) >= least for least in _STEPS)
    way = "up" if value > 0 else "down"
    said = f"{value:+.2f} nats against the base: {text.strip()}"
    return (
        f'<span class="kg-point kg-{way}{step}" data-words="'
        f'{escape(said, quote=True)}">{escape(text)}</span>'
    )


def note(found: Answer) -> str:
    """What stands under an answer; `compare.js` reads it out at the end."""
    count = f"{len(found.token_ids)} tokens"
    unfinished = {
        "error": ("error", found.message),
        "empty": ("warning", found.message),
        "waiting": ("info", found.message or "Waits for its turn."),
        "writing": ("info", f"Writing: {count}."),
    }
    if found.state in unfinished:
        return words.note(*unfinished[found.state], quiet=True)
    if found.state == "stopped":
        said = f"Stopped by you. {count}"
    else:
        said = f"Done. {count}" if found.text.strip() else "Done. It is empty"
    if found.first:
        said += f", the first after {found.first:.1f} s"
    if found.rate:
        said += f", then {found.rate:.1f} per second"
    said += f". {_ENDINGS.get(found.ended, '')}"
    if found.cut:
        said += (
            f" The first {found.cut} tokens of the prompt were cut off, so "
            "drift is not measured."
        )
    if found.model:
        said += f" Written by {found.model}."
    kind = "good" if found.state == "done" else "warning"
    line = words.note(kind, said, quiet=True)
    if found.state == "done" and found.ended == "length":
        line += CUT
    if found.mean_drift is None:
        return line
    return line + (
        '<p class="kg-note" data-part="drift">Drift from the base: '
        f"<b>{found.mean_drift:+.2f}</b> nats per token</p>"
    )


def difference(first: str, second: str) -> str:
    """Two texts as one, word by word: what left and what came are marked."""
    old, new = (
        re.findall(r"\s+|\w+|[^\w\s]", each) for each in (first, second)
    )
    parts = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            parts.append(escape("".join(old[a:b])))
            continue
        for tag, own in (("del", old[a:b]), ("ins", new[c:d])):
            if own:
                parts.append(f"<{tag}>{escape(''.join(own))}</{tag}>")
    return (
        '<div class="kg-answer" role="region" tabindex="0" '
        f'aria-label="Differences">{"".join(parts)}</div>'
    )
