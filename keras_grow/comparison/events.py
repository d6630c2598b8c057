"""What happens in a run, as small records. Nothing here needs Keras."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened in a run.

    Example:

    ```python
    from keras_grow.comparison.events import Updated, from_json

    from_json(Updated(3, 1.5, 0.7).to_json()).loss  # 1.5
    ```
    """

    @property
    def line(self) -> str:
        """The line that the console prints, or an empty text."""
        return ""

    def to_json(self) -> str:
        """The event as a line of JSON."""
        name = type(self).__name__
        return json.dumps({"event": name, **dataclasses.asdict(self)})


@dataclass(frozen=True)
class Begun(Event):
    """A part of the run has begun or advanced: `done` of `pieces` are done.

    Parts are `"load"`, `"measure"`, `"train"` and `"save"`.
    """

    part: str
    done: int = 0
    pieces: int = 1


@dataclass(frozen=True)
class Shortened(Event):
    """Some training examples were longer than the plan's rows of `tokens`."""

    examples: int
    cut_prompts: int
    left_out: int
    tokens: int | None

    @property
    def line(self) -> str:
        """How many they were."""
        return (
            f"over {self.tokens} tokens: {self.cut_prompts} examples whose "
            f"prompt was cut, {self.left_out} that were left out"
        )


@dataclass(frozen=True)
class Resumed(Event):
    """The run resumes where it was killed."""

    step: int

    @property
    def line(self) -> str:
        """Where it resumes."""
        return f"resumes after update {self.step}"


@dataclass(frozen=True)
class Updated(Event):
    """Updates were made; quick ones are reported several at a time.

    Loss and seconds are means per update since the last such event.
    """

    step: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class Scored(Event):
    """The model was scored: a row of the results, see `read_results`."""

    row: dict[str, Any]

    @property
    def line(self) -> str:
        """The scores."""
        return f"update {self.row['step']:>5}  {_figures(self.row['scores'])}"


@dataclass(frozen=True)
class ShareScored(Event):
    """The model was scored at a share of its change."""

    share: float
    scores: dict[str, float]

    @property
    def line(self) -> str:
        """The scores."""
        return f"share {self.share:>6g}  {_figures(self.scores)}"


@dataclass(frozen=True)
class RateTried(Event):
    """One learning rate of several was tried.

    The loss is that of the held-out examples, in nats per token.
    """

    rate: float
    loss: float

    @property
    def line(self) -> str:
        """The rate and its loss."""
        return f"learning rate {self.rate:g}  held-out loss {self.loss:.4g}"


@dataclass(frozen=True)
class Ended(Event):
    """The run has ended.

    `stopped` is true if it was asked to end before the plan's last update. What
    was learned is kept all the same, unless `step` is 0.
    """

    step: int
    stopped: bool


@dataclass(frozen=True)
class Failed(Event):
    """The run has ended with an error."""

    words: str

    @property
    def line(self) -> str:
        """What is wrong."""
        return self.words


Listener = Callable[[Event], None]
_KINDS = {kind.__name__: kind for kind in Event.__subclasses__()}


def from_json(text: str) -> Event:
    """The event that `Event.to_json` wrote."""
    try:
        values = json.loads(text)
        return _KINDS[values.pop("event")](**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"Expected an event of a run. Received: {text[:200]!r}"
        ) from error


def print_event(event: Event) -> None:
    """Print the line of an event, if it has one."""
    if event.line:
        print(event.line, flush=True)


def _figures(scores: dict[str, float]) -> str:
    known = {n: float("nan") if s is None else s for n, s in scores.items()}
    return "  ".join(f"{n} {score:.4g}" for n, score in known.items())
