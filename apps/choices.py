"""What answers in a pane, and how the page speaks of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import TYPE_CHECKING
from typing import NamedTuple

if TYPE_CHECKING:
    from keras_grow.evaluation.stream import Together


class Unavailable(Exception):
    """A model cannot answer, with the reason in words for its visitor.

    `state` is "error", or "empty" where there is nothing to answer.
    """

    def __init__(self, message: str, state: str = "error") -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True)
class Part:
    """What the page says of a model, with message and memory in words.

    `state` is "absent", "loading", "ready" or "failed".
    """

    state: str
    message: str
    memory: str = ""


@dataclass(frozen=True)
class Choice:
    """What answers in a pane.

    `key` is `BASE`, the key of an `Entry`, `MIXED` or `ROUTED`. `dials` are the
    scales of the growths that take part, by their keys.
    """

    key: str
    dials: Mapping[str, float] = field(default_factory=dict)


class Writing(NamedTuple):
    """Answers that are about to be written, and the names of their models."""

    whole: "Together"
    labels: list[str]
