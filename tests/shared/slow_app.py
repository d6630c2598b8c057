"""The app, but long answers take their time, as those of a large model do.

So a test can stop an answer, or ask while another is being written, however
fast the tiny model and however slow the browser. To one prompt, the answer is
HTML.
"""

import sys
import time

from keras_grow.app.models import Models

from keras_grow.command import main

LONG = 100
SECONDS = 0.1
ASKS_FOR_HTML = "write HTML"
HTML = "<img src=x onerror='document.title=1'><b>bold</b>"

_stream = Models.stream


class _Slow:
    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __next__(self):
        time.sleep(SECONDS)
        return next(self._stream)


class _Html:
    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return HTML if name == "text" else getattr(self._stream, name)

    def __next__(self):
        return next(self._stream)


def stream(self, pane, prompt, length, *arguments, **settings):
    """As `Models.stream`."""
    found = _stream(self, pane, prompt, length, *arguments, **settings)
    if prompt == ASKS_FOR_HTML:
        return _Html(found)
    return _Slow(found) if length > LONG else found


if __name__ == "__main__":
    Models.stream = stream
    sys.exit(main(["app", *sys.argv[1:]]))
