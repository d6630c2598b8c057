"""Small pieces of HTML. Whatever is put into them is shown as text."""

from collections.abc import Sequence
from html import escape

from .answers import Answer
from .models import Part


def note(kind: str, text: str) -> str:
    """A line that says how something stands.

    Args:
        kind: "info", "good", "warning" or "error". A sign and a word tell
            them apart, not color alone.
        text: what to say; not HTML.
    """
    signs = {
        "info": "",
        "good": "✓ ",
        "warning": "⚠ ",
        "error": "✕ Error. ",
    }
    role = "alert" if kind == "error" else "status"
    return (
        f'<p class="kg-note kg-{kind}" role="{role}">'
        f"{signs[kind]}{escape(text)}</p>"
    )


def pane_heading(title: str, about: str, part: Part) -> str:
    """Name of a pane, what it is, and what its model holds in memory."""
    memory = f"{part.message}: {part.memory}" if part.memory else part.message
    return (
        '<div class="kg-heading">'
        f'<h2 class="kg-pane">{escape(title)}</h2>'
        f'<p class="kg-about">{escape(about)}<br>'
        f'<span class="kg-memory">{escape(memory)}</span></p></div>'
    )


def pane_note(answer: Answer) -> str:
    """What stands under an answer."""
    if answer.state == "error":
        return note("error", answer.message)
    if answer.state == "empty":
        return note("info", answer.message)
    if answer.state == "waiting":
        return note("info", answer.message or "Waits for its turn.")
    if answer.state == "writing":
        return note("info", f"Writing: {answer.tokens} tokens.")
    words = "Stopped. " if answer.state == "stopped" else "Done. "
    if answer.state == "done" and not answer.text:
        words += "The answer is empty."
    else:
        words += f"{answer.tokens} tokens"
        if answer.seconds:
            words += f", {answer.tokens / answer.seconds:.1f} per second"
        words += "."
    if answer.cut:
        words += f" The first {answer.cut} tokens of the prompt were cut off."
    if answer.message:
        words += f" {answer.message}"
    if answer.model:
        words += f" Written by {answer.model}."
    line = note("good" if answer.state == "done" else "warning", words)
    if answer.drift is None:
        return line
    return line + (
        '<p class="kg-note" data-part="drift">Drift from the base: '
        f"<b>{answer.drift:+.2f}</b> nats per token</p>"
    )


def table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    text: bool = False,
) -> str:
    """A table that scrolls sideways where the page is narrow.

    Args:
        caption: what it shows.
        header: names of the columns.
        rows: cells; the first of a row names it.
        text: whether the cells are text, not numbers.
    """
    kind = "kg-table kg-left" if text else "kg-table"
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{escape(cell)}</th>'
            if index == 0
            else f"<td>{escape(cell)}</td>"
            for index, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        '<div class="kg-scroll" tabindex="0" role="region" '
        f'aria-label="{escape(caption, quote=True)}"><table class="{kind}">'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def status(text: str) -> str:
    """The line at the top that says how things stand."""
    return f'<p class="kg-status" role="status">{escape(text)}</p>'


def plain(text: str) -> str:
    """Text of several lines as it stands."""
    return f'<pre class="kg-pre">{escape(text)}</pre>'
