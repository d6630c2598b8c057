"""Small pieces of HTML. Whatever is put into them is shown as text."""

from collections.abc import Sequence
from html import escape


def note(kind: str, text: str, quiet: bool = False) -> str:
    """A line that says how something stands.

    `kind` is "info", "good", "warning" or "error". A sign and a word tell them
    apart, not color alone. `text` is not HTML. A `quiet` line is not read out
    as it appears, since it changes often or is read out by the page's script.
    """
    signs = {
        "info": "",
        "good": "✓ ",
        "warning": "⚠ ",
        "error": "✕ Error. ",
    }
    role = "alert" if kind == "error" else "status"
    spoken = "" if quiet else f' role="{role}"'
    return (
        f'<p class="kg-note kg-{kind}"{spoken}>{signs[kind]}{escape(text)}</p>'
    )


def table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    text: bool = False,
) -> str:
    """A table that scrolls sideways where the page is narrow.

    The first cell of a row names it. With `text` the cells are text, not
    numbers.
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


def status(text: str, memory: str) -> str:
    """The line at the top that says how things stand.

    `text` is read out as it changes; `memory` changes too often for that.
    """
    return (
        f'<p class="kg-status"><span role="status">{escape(text)}</span> '
        f"{escape(memory)}</p>"
    )


def plain(text: str) -> str:
    """Text of several lines as it stands."""
    return f'<pre class="kg-pre">{escape(text)}</pre>'


def size(count: int) -> str:
    """A number of bytes in words."""
    if count < 10**8:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e9:.2f} GB"
