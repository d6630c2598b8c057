"""The app, with long answers as slow as those of a large model.

A test can then stop an answer, or ask while another is being written, however
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

_together = Models.together


def together(self, choices, prompt, length, *arguments):
    """As `Models.together`."""
    found = _together(self, choices, prompt, length, *arguments)
    advance = found.whole.advance

    def slow():
        time.sleep(SECONDS if length > LONG else 0.0)
        advance()
        if prompt == ASKS_FOR_HTML:
            for answer in found.whole.answers:
                answer.text = HTML

    found.whole.advance = slow
    return found


if __name__ == "__main__":
    Models.together = together
    sys.exit(main(["app", *sys.argv[1:]]))
