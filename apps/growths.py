"""The growths that are loaded on the base, mixed or routed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .rows import passages


class Growths:
    """Several growths on one model, by the keys that the page uses.

    `names` are their names on the model, by key, the one asked last at the end.
    """

    MOST = 4

    def __init__(self, streamer: Any) -> None:
        self._lm = streamer.lm
        self.names: dict[str, str] = {}
        self._made = 0
        self._router: Any = None
        self._prompts: dict[str, list[str]] = {}

    def make_room(self) -> list[str]:
        """Remove the least recently used to make room; return their keys."""
        import keras_grow

        gone = list(self.names)[: max(0, len(self.names) - self.MOST + 1)]
        for key in gone:
            keras_grow.remove_growth(self._lm, self.names.pop(key))
            self._router = None
        return gone

    def load(self, key: str, file: Path) -> str:
        """Load a growth, off at first.

        Returns the report of it, on, where there is no other to be reported.
        """
        import keras_grow

        self._made += 1
        name = f"growth_{self._made}"
        keras_grow.load_growth(self._lm, file, name)
        report = "" if self.names else str(keras_grow.growth_report(self._lm))
        keras_grow.set_growths(self._lm, {})
        self.names[key] = name
        self._router = None
        return report

    def scales(
        self, dials: Mapping[str, float], labels: Mapping[str, str]
    ) -> tuple[dict[str, float], str]:
        """Scales by their names on the model, and the same in words."""
        for key in dials:
            if key in self.names:
                self.names[key] = self.names.pop(key)
        words = [
            labels.get(key, key) + ("" if dial == 1.0 else f" at {dial:g}")
            for key, dial in dials.items()
            if dial
        ]
        scales = {self.names[k]: dial for k, dial in dials.items() if dial}
        return scales, " with ".join(words) or "the base, all dials at 0"

    def learn(self, key: str, prompts: list[str]) -> None:
        """Prompts of a growth's own skill, for the router."""
        self._prompts[key] = prompts

    def route(
        self, prompt: str, labels: Mapping[str, str]
    ) -> tuple[dict[str, float], str]:
        """The growth that a prompt is for, and how probable that is."""
        if self._router is None:
            self._router = self._fitted()
        routes = self._router([prompt])
        name = routes.names[0]
        chance = dict(
            zip(self._router.classes, routes.probabilities[0], strict=True)
        )
        key = next((k for k, own in self.names.items() if own == name), None)
        label = "the base" if key is None else labels.get(key, key)
        words = f"{label}, to which it was routed at {chance[name]:.0%}"
        return ({} if key is None else {name: 1.0}), words

    def _fitted(self) -> Any:
        from keras_grow import GrowthRouter

        prompts = {
            self.names[key]: own
            for key, own in self._prompts.items()
            if key in self.names and len(own) > 1
        }
        if not prompts:
            raise ValueError(
                "The router learns from rows of the runs, and none of these "
                "growths has a run with rows here."
            )
        return GrowthRouter(self._lm).fit(prompts, passages())
