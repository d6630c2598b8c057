"""The models that answer now, each of which may be taken out to be changed."""

import threading
from typing import Any

_CHANGED = "Another model was chosen while this one answered. Ask again."


class Unavailable(Exception):
    """A pane has no model, with the reason in words for its visitor."""


class Streamers:
    """Streamers by name; none takes a step once it has been taken out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streamers: dict[str, Any] = {}

    def put(self, name: str, streamer: Any) -> None:
        """Let a `Streamer` answer."""
        with self._lock:
            self._streamers[name] = streamer

    def take_out(self, name: str) -> None:
        """Return once no step is being taken, and let none be any more."""
        with self._lock:
            self._streamers.pop(name, None)

    def stream(self, name: str, *arguments: Any, **settings: Any) -> "Guarded":
        """Begin an answer, see `Streamer.stream`.

        Raises:
            Unavailable: if it has been taken out; its next token does too.
        """
        with self._lock:
            streamer = self._get(name)
            stream = streamer.stream(*arguments, **settings)
        return Guarded(self, name, streamer, stream)

    def step(self, name: str, streamer: Any, stream: Any) -> str:
        """A token more of an answer that `streamer` began."""
        with self._lock:
            if self._get(name) is not streamer:
                raise Unavailable(_CHANGED)
            written: str = next(stream)
            return written

    def loglikelihood(
        self, name: str, *arguments: Any, **settings: Any
    ) -> float:
        """See `Streamer.loglikelihood`."""
        with self._lock:
            value: float = self._get(name).loglikelihood(*arguments, **settings)
            return value

    def _get(self, name: str) -> Any:
        streamer = self._streamers.get(name)
        if streamer is None:
            raise Unavailable(_CHANGED)
        return streamer


class Guarded:
    """A stream that ends in words where its model is taken out.

    Args:
        streamers: where the model may be taken out.
        name: its name there.
        streamer: the model.
        stream: the answer that it began.
    """

    def __init__(
        self, streamers: Streamers, name: str, streamer: Any, stream: Any
    ) -> None:
        self._streamers, self._name = streamers, name
        self._streamer, self._stream = streamer, stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __next__(self) -> str:
        return self._streamers.step(self._name, self._streamer, self._stream)
