"""The models behind the page, loaded in a thread of their own."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .runs import Entry
from .runs import Runs
from .streamers import Streamers
from .streamers import Unavailable

PANES = ("base", "tuned", "grown")
MAX_TOKENS = 512


@dataclass(frozen=True)
class Part:
    """What the page says of the model of one pane.

    Attributes:
        state: "empty", "loading", "ready" or "failed".
        message: the state in words.
        memory: what it holds in memory, in words.
    """

    state: str
    message: str
    memory: str = ""


_EMPTY = {
    "tuned": "No fine-tuned model here. Train one on the Train tab, or start "
    "the app on a run that has one.",
    "grown": "No grown model here. Train one on the Train tab, or start the "
    "app on a run that has one.",
}
# Whose choice decides what a pane has: base and grown are one model.
_OWNER = {"base": "grown", "grown": "grown", "tuned": "tuned"}


class Models:
    """Base and grown as one model, and a second one beside it.

    Args:
        runs: where models come from.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.parts = {name: Part("loading", "Waits to load.") for name in PANES}
        self.growth_report = ""
        self.num_blocks = 0
        self._wanted: dict[str, Entry | None] = {}
        self._loaded: dict[str, Entry | None] = {}
        self._base: Any = None
        self._streamers = Streamers()
        self._changed = threading.Condition()
        self._step = ""

    def start(self) -> None:
        """Begin to load what the page offers first."""
        first: dict[str, Entry | None] = {"tuned": None, "grown": None}
        for entry in self.runs.entries():
            pane = "grown" if entry.is_grown else "tuned"
            # The last growth of a plan is the one with the most to it.
            if first[pane] is None or (
                pane == "grown" and entry.folder == first[pane].folder  # type: ignore[union-attr]
            ):
                first[pane] = entry
        with self._changed:
            self._wanted = first
        threading.Thread(target=self._run, daemon=True).start()

    def wanted(self, pane: str) -> str | None:
        """Key of the model that a pane has or is about to have."""
        entry = self._wanted.get(pane)
        return entry.key if entry else None

    def choose(self, pane: str, key: str | None) -> None:
        """Put another model into the pane "tuned" or "grown".

        Only where no answer is being written: the model changes in place.
        """
        entry = self.runs.entry(key)
        if entry is None or entry.is_grown != (pane == "grown"):
            return
        with self._changed:
            if entry == self._wanted.get(pane):
                return
            if self.parts["base"].state == "failed":
                return  # Nothing can be loaded any more.
            self._wanted = {**self._wanted, pane: entry}
            self._loaded.pop(pane, None)
            names = ("base", "grown") if pane == "grown" else ("tuned",)
            for name in names:
                if self.parts[name].state != "failed" or name != "base":
                    self._say(name, "loading", f"Loads {entry.label}.")
            self._changed.notify_all()

    def ready(self, pane: str) -> bool:
        """Whether a pane can answer now.

        Raises:
            Unavailable: if it cannot, and loading will not change that.
        """
        part = self.parts[pane]
        if part.state in ("empty", "failed"):
            raise Unavailable(part.message)
        return part.state == "ready"

    def stream(self, pane: str, *arguments: Any, dial: float = 1.0) -> Any:
        """An answer of a pane that is ready, see `Streamer.stream`.

        The dial is the grown pane's. The next token raises `Unavailable` where
        the model has been changed.
        """
        name, settings = self._setting(pane, dial)
        return self._streamers.stream(name, *arguments, **settings)

    def drift(
        self, pane: str, prompt: str, token_ids: list[int], dial: float = 1.0
    ) -> float:
        """How much likelier than the base a pane finds its own answer.

        Returns:
            `log p(model) - log p(base)` of the tokens, in nats per token; 0
            without any.
        """
        if pane == "base" or not token_ids:
            return 0.0
        found = {
            each: self._streamers.loglikelihood(
                name, prompt, token_ids, **settings
            )
            for each in ("base", pane)
            for name, settings in [self._setting(each, dial)]
        }
        return (found[pane] - found["base"]) / len(token_ids)

    def _setting(self, pane: str, dial: float) -> tuple[str, dict[str, Any]]:
        """The streamer of a pane, and the state it answers in."""
        if pane == "tuned":
            return "tuned", {"growth": True, "scale": None}
        grown = self._is_grown()
        if pane == "base":
            return "base", {"growth": not grown, "scale": None}
        return "base", {"growth": True, "scale": dial if grown else None}

    def loading(self) -> str:
        """What is being loaded, in words; empty when all is done."""
        if any(part.state == "loading" for part in self.parts.values()):
            return self._step or "Starting."
        return ""

    def _is_grown(self) -> bool:
        from keras_grow.growth.state import growths_of

        return bool(growths_of(self._base))

    def _say(
        self, pane: str, state: str, message: str, memory: str = ""
    ) -> None:
        self.parts = {**self.parts, pane: Part(state, message, memory)}

    def _say_of(self, entry: Entry | None, pane: str, *words: str) -> None:
        """Say it of a pane, unless another model is wanted there by now."""
        with self._changed:
            if self._wanted.get(_OWNER[pane]) == entry:
                self._say(pane, *words)

    def _run(self) -> None:
        self._step = "Step 1 of 5: starting Keras."
        try:
            self._load_base()
        except Exception as error:  # Whatever it is, the page says it.
            for pane in PANES:
                self._say(
                    pane,
                    "failed",
                    f"The base model {self.runs.model} did not load. {error}",
                )
            return
        while True:
            for pane, load in (
                ("grown", self._load_growth),
                ("tuned", self._load_tuned),
            ):
                with self._changed:
                    entry = self._wanted.get(pane)
                    if pane in self._loaded and entry == self._loaded[pane]:
                        continue
                self._try(pane, entry, load)
            with self._changed:
                if self._wanted == self._loaded:
                    self._step = ""
                    self._changed.wait()

    def _try(
        self, pane: str, entry: Entry | None, load: Callable[[Any], None]
    ) -> None:
        try:
            load(entry)
        except Exception as error:  # One pane's trouble stays its own.
            name = entry.label if entry else "nothing"
            words = f"The model {name} did not load. {error}"
            for own, owner in _OWNER.items():
                if owner == pane and self.parts[own].state == "loading":
                    self._say_of(entry, own, "failed", words)
        with self._changed:
            if self._wanted.get(pane) == entry:
                self._loaded[pane] = entry

    def _load_base(self) -> None:
        from keras_grow.loading import load_causal_lm

        self._step = "Step 2 of 5: loading the base model."
        self._say("base", "loading", "Loads the weights.")
        self._base = load_causal_lm(self.runs.model, self.runs.dtype)
        self.num_blocks = len(self._base.backbone.transformer_layers)

    def _load_growth(self, entry: Entry | None) -> None:
        import keras_grow
        from keras_grow.evaluation.streaming import Streamer

        self._step = "Step 3 of 5: growing and compiling."
        self._streamers.take_out("base")
        lm = self._base
        if self._is_grown():
            keras_grow.remove_growth(lm)
        base_bytes = _bytes(lm)
        self.growth_report, failure = "", None
        try:
            if entry is not None and entry.growth_file is not None:
                keras_grow.load_growth(lm, entry.growth_file)
                report = keras_grow.growth_report(lm)
                self.growth_report = str(report)
        except Exception as error:
            failure = error
        streamer = Streamer(lm, MAX_TOKENS)
        grown = failure is None and entry is not None
        _warm(streamer, growth=not grown)
        memory = f"{_size(base_bytes)} of weights, shared with the grown model"
        if not grown:
            memory = f"{_size(base_bytes)} of weights"
        self._streamers.put("base", streamer)
        self._say_of(entry, "base", "ready", self.runs.model, memory)
        if failure is not None:
            raise failure
        if entry is None:
            self._say_of(entry, "grown", "empty", _EMPTY["grown"])
            return
        _warm(streamer, growth=True)
        memory = (
            f"{_size(_bytes(lm) - base_bytes)} of new slices, on top of the "
            "base's own weights"
        )
        self._say_of(entry, "grown", "ready", entry.label, memory)

    def _load_tuned(self, entry: Entry | None) -> None:
        from pathlib import Path

        from keras_grow.comparison import Method
        from keras_grow.comparison import load_run
        from keras_grow.evaluation.streaming import Streamer

        self._streamers.take_out("tuned")
        if entry is None:
            self._say_of(entry, "tuned", "empty", _EMPTY["tuned"])
            return
        self._step = "Step 4 of 5: loading the fine-tuned model."
        method = Method.from_dict(entry.method)
        lm = load_run(Path(entry.folder), method, entry.seed)
        self._step = "Step 5 of 5: compiling the fine-tuned model."
        streamer = Streamer(lm, MAX_TOKENS)
        _warm(streamer)
        self._streamers.put("tuned", streamer)
        memory = f"{_size(_bytes(lm))} of weights, a second model"
        self._say_of(entry, "tuned", "ready", entry.label, memory)


def _warm(streamer: Any, growth: bool = True) -> None:
    """Compile what answers need, so that no visitor waits for it."""
    stream = streamer.stream("Warm up", 2, growth=growth)
    for _ in stream:
        pass
    streamer.loglikelihood("Warm up", streamer.encode("now"), growth)


def _bytes(lm: Any) -> int:
    from keras_grow.growth.costs import variable_bytes

    return sum(variable_bytes(weight) for weight in lm.weights)


def _size(count: int) -> str:
    if count < 10**8:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e9:.2f} GB"
