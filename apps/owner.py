"""The one thread that the models belong to: what runs there takes turns."""

import threading
import traceback
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any

# A step at a time; one that yields a future goes on when that is done.
Turns = Generator["Future[Any] | None", None, None]


class Owner:
    """Runs generators in a thread of its own, a step of each in turn.

    Nothing else touches what they hold, so nothing of it needs a lock.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Turns] = deque()

    def start(self) -> None:
        """Begin to take turns."""
        threading.Thread(target=self._run, daemon=True).start()

    def add(self, turns: Turns) -> None:
        """Let a generator take turns from now on, after those that wait."""
        with self._changed:
            self._waiting.append(turns)
            self._changed.notify()

    def turn(self) -> None:
        """Take the next turn, once there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            turns = self._waiting.popleft()
        try:
            future = next(turns)
        except StopIteration:
            return
        except Exception:  # Whoever it was, the others go on.
            traceback.print_exc()
            return
        if future is None:
            self.add(turns)
        else:
            future.add_done_callback(lambda _: self.add(turns))

    def _run(self) -> None:
        while True:
            self.turn()
