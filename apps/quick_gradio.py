"""Gradio, imported in half the time."""

import inspect
import os
from typing import Any

_getfile = inspect.getfile


def _no_file_of_gradio(thing: Any) -> str:
    if isinstance(thing, type) and thing.__module__.startswith("gradio."):
        raise OSError("not looked up")
    return _getfile(thing)


# Gradio rewrites the type stubs of its own components at every import, unless
# their source cannot be found. That is half of the time to the first page.
inspect.getfile = _no_file_of_gradio  # type: ignore[assignment]
# No question to the network at the start.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
try:
    import gradio
finally:
    inspect.getfile = _getfile

# For events that are answered at once.
QUIET: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
# For events that fill the panes of answers. Nobody waits in Gradio's queue, and
# what goes through it arrives in its order.
ANSWERED: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_id": "models",
    "concurrency_limit": 64,
}


def let_rest(blocks: Any) -> None:
    """Let a page's queue look for questions 50 times a second, not 1,000.

    Its looks take time from the models, and from whoever else uses the machine.
    """
    blocks._queue.sleep_when_free = 0.02
    blocks._queue.progress_update_sleep_when_free = 0.1


__all__ = ["ANSWERED", "QUIET", "gradio", "let_rest"]
