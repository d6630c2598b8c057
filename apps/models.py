"""The models behind the page, all of them in one thread that owns them."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import chat
from . import rows
from .answers import Question
from .catalog import BASE
from .catalog import MIXED
from .catalog import ROUTED
from .catalog import Catalog
from .catalog import Choice
from .catalog import Part
from .catalog import Unavailable
from .catalog import Writing
from .growths import Growths
from .owner import Owner
from .owner import Turns
from .runs import Entry
from .runs import Runs
from .words import size

MAX_TOKENS = 512
_MAX_TUNED = 2


class Models(Catalog):
    """The base with its growths as one model, and others beside it.

    Only `want`, `part`, `loading` and what tells of choices may be called
    outside of the owner's thread.
    """

    def __init__(self, runs: Runs) -> None:
        super().__init__(runs)
        self.owner = Owner()
        self.num_blocks = 0
        # What a growth adds to the base, by its key, where it was alone there.
        self.reports: dict[str, str] = {}
        self._parts: dict[str, Part] = {}
        self._wanted: dict[str, Future[None]] = {}
        self._lock = threading.Lock()  # Of what is wanted alone.
        self._prepare = ThreadPoolExecutor(1)
        self._base: Any = None
        self._growths: Growths | None = None
        self._tuned: OrderedDict[str, Any] = OrderedDict()

    def start(self) -> None:
        """Begin to load what the page offers first."""
        self.owner.start()
        for key in self.first():
            self.want(key)

    def part(self, key: str) -> Part:
        """How a model stands."""
        return self._parts.get(key, Part("absent", ""))

    def loading(self) -> str:
        """What is being loaded, in words; empty when all is done."""
        parts = list(self._parts.values())
        return next((p.message for p in parts if p.state == "loading"), "")

    def want(self, key: str, again: bool = False) -> "Future[None]":
        """Load a model, unless it is there or being loaded.

        What is returned is done once it is loaded, or has failed. With `again`,
        one that failed is tried again.
        """
        with self._lock:
            future = self._wanted.get(key)
            failed = again and self.part(key).state == "failed"
            if future is None or failed:
                future = self._wanted[key] = Future()
                self._say(key, "loading", f"Waits to load {self.label(key)}.")
                self.owner.add(self._load(key, future))
            return future

    def prepare(self, key: str, again: bool = False) -> None:
        """Load at once what has to be loaded for a key of `offered`."""
        with contextlib.suppress(Unavailable):  # Its question will say so.
            for each in self.needs(Choice(key)):
                self.want(each, again)

    def needs(self, choice: Choice) -> list[str]:
        """Keys of what has to be loaded for a choice, the base first."""
        if choice.key == ROUTED:
            keys = list(self.grown())[: Growths.MOST]
        elif choice.key == MIXED:
            keys = [key for key, dial in choice.dials.items() if dial]
        else:
            keys = [choice.key]
        if not {*keys} <= {key for _, key in self.offered()}:
            raise Unavailable("No such model here. Choose another.", "empty")
        return list(dict.fromkeys([BASE, *keys]))

    def check(self, key: str) -> None:
        """Make sure that a model that was wanted can answer."""
        part = self.part(key)
        if part.state != "ready":
            gone = f"{self.label(key)} had to make room. Ask again."
            raise Unavailable(part.message or gone)
        if key in self._tuned:
            self._tuned.move_to_end(key)

    def shares_base(self, choice: Choice) -> bool:
        """Whether it is the base with growths, all of it loaded already."""
        keys = [choice.key, *choice.dials]
        grown = {BASE, MIXED, *self.grown()}
        ready = all(self.part(k).state == "ready" for k in keys if k != MIXED)
        return {*keys} <= grown and ready and not self._base.one_at_a_time

    def prompt(
        self, question: Question, turns: Sequence[tuple[str, str]]
    ) -> str:
        """The text that the models continue."""
        if not question.chat:
            return question.prompt
        return chat.prompt(self._base.lm, question, turns)

    def together(
        self,
        choices: Sequence[Choice],
        prompt: str,
        length: int,
        sampling: Any = None,
        stop: Sequence[str] = (),
        begun: Sequence[int] = (),
    ) -> Writing:
        """Begin answers of one model, or of several that share the base.

        The arguments are those of `Streamer.together`. An answer that goes on
        is shorter than `length` where the model can read no more.
        """
        streamer = self._tuned.get(choices[0].key, self._base)
        if begun:
            read = len(streamer.encode(prompt)) + len(begun)
            length = min(length, streamer.max_length - read)
            if length < 1:
                raise ValueError(
                    "The answer cannot go on: with its prompt it has the "
                    f"{streamer.max_length} tokens that are read at once."
                )
        found = [self._state(choice, prompt) for choice in choices]
        states, labels = zip(*found, strict=True)
        whole = streamer.together(prompt, length, states, sampling, stop, begun)
        return Writing(whole, list(labels))

    def drift(
        self,
        choice: Choice,
        prompt: str,
        token_ids: Sequence[int],
        logprobs: Sequence[float],
    ) -> list[float]:
        """How much likelier than the base a model finds its own answer.

        It is `log p(model) - log p(base)` of each token, in nats.
        """
        if choice.key == BASE or not token_ids:
            return [0.0] * len(token_ids)
        base = self._base.logprobs(prompt, token_ids, {})
        return [
            float(own - other)
            for own, other in zip(logprobs, base, strict=False)
        ]

    def _state(
        self, choice: Choice, prompt: str
    ) -> tuple[dict[str, float], str]:
        """The scales of a choice, and what answers, in words."""
        if choice.key == BASE or choice.key in self._tuned:
            return {}, self.label(choice.key)
        assert self._growths is not None
        if choice.key == ROUTED:
            return self._growths.route(prompt, self.grown())
        return self._growths.scales(choice.dials, self.grown())

    def _say(self, key: str, *words: str) -> None:
        self._parts[key] = Part(*words)

    def _load(self, key: str, future: "Future[None]") -> Turns:
        """Load a model; whatever fails is its own, and said."""
        label = f"model {self.label(key)}"
        try:
            if key == BASE:
                label = f"base model {self.runs.model}"
                yield from self._load_base()
            else:
                yield self.want(BASE)
                self.check(BASE)
                self._say(key, "loading", f"Loads {self.label(key)}.")
                entry = self.runs.entry(key)
                if key in self.grown():
                    yield from self._load_growth(key, entry)
                else:
                    assert entry is not None
                    yield from self._load_tuned(entry)
        except Exception as error:
            self._say(key, "failed", f"The {label} did not load. {error}")
        finally:
            future.set_result(None)

    def _load_base(self) -> Turns:
        self._say(BASE, "loading", "Starts Keras.")
        from keras_grow import load_causal_lm
        from keras_grow.evaluation.streaming import Streamer
        from keras_grow.growth.state import ModelState

        self._say(BASE, "loading", f"Loads {self.runs.model}.")
        lm = load_causal_lm(self.runs.model, self.runs.dtype)
        self._base = Streamer(lm, MAX_TOKENS)
        self._growths = Growths(self._base)
        self.num_blocks = len(ModelState.of(lm).blocks)
        self._say(BASE, "loading", "Compiles the base model.")
        if not self.grown().keys() & set(self.first()):
            # A growth compiles it anew.
            yield from warm(self._base, [[{}]])
        memory = f"{size(bytes_of(lm))} of weights"
        self._say(BASE, "ready", "", memory)

    def _load_growth(self, key: str, entry: Entry | None) -> Turns:
        assert self._growths is not None
        file = (entry.growth_file if entry else None) or self.uploads[key]
        self._gone(self._growths.make_room())
        before = bytes_of(self._base.lm)
        report = self._growths.load(key, file)
        if report:
            self.reports[key] = report
        if entry:
            self._growths.learn(key, rows.prompts(entry.folder))
        yield None
        name = self._growths.names[key]
        own = {name: 1.0}
        both = [] if self._base.one_at_a_time else [[{}, own]]
        yield from warm(self._base, [*both, [own], [{}]])
        memory = (
            f"{size(bytes_of(self._base.lm) - before)} of new slices, on top "
            "of the base's own weights"
        )
        self._say(key, "ready", "", memory)

    def _load_tuned(self, entry: Entry) -> Turns:
        from keras_grow.comparison import Method
        from keras_grow.comparison import load_run
        from keras_grow.evaluation.streaming import Streamer

        self._make_room()
        # Nobody else has it yet: the owner goes on with the others.
        method = Method.from_dict(entry.method)
        prepared = self._prepare.submit(
            load_run, Path(entry.folder), method, entry.seed
        )
        yield prepared
        streamer = Streamer(prepared.result(), MAX_TOKENS)
        yield from warm(streamer, [[{}]])
        self._make_room()  # For others may have loaded meanwhile.
        self._tuned[entry.key] = streamer
        memory = f"{size(bytes_of(streamer.lm))} of weights, a second model"
        self._say(entry.key, "ready", "", memory)

    def _make_room(self) -> None:
        """Unload the least recently used models beside the base."""
        while len(self._tuned) >= _MAX_TUNED:
            self._gone([self._tuned.popitem(last=False)[0]])

    def _gone(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._wanted.pop(key)
            self._say(key, "absent", "")


def bytes_of(lm: Any) -> int:
    """Bytes of a model's weights."""
    from keras_grow.growth.costs import variable_bytes

    return sum(variable_bytes(weight) for weight in lm.weights)


def warm(streamer: Any, batches: Sequence[Sequence[dict[str, float]]]) -> Turns:
    """Compile what answers need, so that no visitor waits for it."""
    for states in batches:
        whole = streamer.together("Warm up", 2, states)
        whole.read_piece()
        yield None
        while not whole.finished:
            whole.advance()
        yield None
    streamer.logprobs("Warm up", streamer.encode("now"), {})
