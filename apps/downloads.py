"""Downloads, made or read when they are asked for: nothing is copied.

Gradio would copy every file that it offers into a folder of temporary files,
at every page that offers it, and leave it there when it is killed.
"""

from collections.abc import Callable
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import FileResponse
from fastapi.responses import HTMLResponse
from fastapi.responses import Response

_ROUTE = "downloads"
_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".svg": "image/svg+xml",
}
# What a download is called, and its text or where it is.
Found = tuple[str, str | Path] | None


def link(
    text: str, kind: str, key: str, elem_id: str, shown: Sequence[str] = ()
) -> str:
    """A link to a download: `serve` has `kind`, and a function of the rest."""
    path = f"{_ROUTE}/{kind}/{quote(key)}"
    if shown:
        path += "?" + urlencode({"shown": shown}, doseq=True)
    return (
        f'<a class="kg-download" id="{elem_id}" href="{escape(path)}">'
        f"{escape(text)}</a>"
    )


def serve(
    app: Any, kinds: dict[str, Callable[[str, list[str]], Found]]
) -> None:
    """Add the downloads to a page that is served.

    For each kind there is a function of a key, which comes from a visitor and
    is never to be taken as a path, and of the words `shown` of its address. It
    returns None where there is no such file any more. `app` is the FastAPI app
    that Gradio made.
    """
    # Whoever may not see the page may not take anything from it.
    guard = next(
        route.dependencies
        for route in app.routes
        if getattr(route, "path", "") == "/config"
    )
    for kind, find in kinds.items():
        app.add_api_route(
            f"/{_ROUTE}/{kind}/{{key:path}}",
            _answer(find),
            dependencies=guard,
            methods=["GET"],
            response_model=None,
        )


def _answer(find: Callable[[str, list[str]], Found]) -> Any:
    def answer(key: str, request: Request) -> Response:
        found = find(key, request.query_params.getlist("shown"))
        if found is None:
            return HTMLResponse(_GONE, 404)
        name, content = found
        if isinstance(content, Path):
            return FileResponse(content, filename=name)
        return Response(
            content,
            media_type=_TYPES[Path(name).suffix],
            headers={
                "Content-Disposition": "attachment; "
                f"filename*=utf-8''{quote(name)}"
            },
        )

    return answer


_GONE = (
    '<!doctype html><html lang="en"><title>keras_grow</title>'
    "<p>This file is not there any more: its run was deleted or renamed. "
    '<a href="/">Go back to the page</a> and choose another run.</p></html>'
)
