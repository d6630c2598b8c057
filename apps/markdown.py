"""Markdown of a model as HTML of ours: nothing that it writes is HTML."""

import functools
from typing import Any


def render(text: str) -> str:
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
