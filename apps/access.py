"""Who may change a training: whoever started it, and who sits at the machine.

With a login, visitors are told apart by their names. Without one the app is a
tool on somebody's own machine: a browser that started a training is known again
by a key that it keeps, and whoever is on that machine may change all of them.
"""

import ipaddress

from .quick_gradio import gradio as gr
from .training_folders import Note

REFUSED = (
    "Only who started this training can change it, or, where the app has no "
    "login, somebody on the machine that it runs on."
)


def visitor(request: gr.Request, key: str) -> str:
    """What a visitor's trainings are marked with; `key` is their browser's."""
    # A name comes from the server, and the key from whoever sends it.
    return request.username or key


def may_change(request: gr.Request, key: str, note: Note | None) -> bool:
    """Whether a visitor may rename, go on with or delete a training."""
    own = visitor(request, key)
    if note is not None and own and note.owner == own:
        return True
    return not request.username and _is_here(request)


def _is_here(request: gr.Request) -> bool:
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except (AttributeError, ValueError):
        return False
