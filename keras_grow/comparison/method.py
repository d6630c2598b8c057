"""The methods that a comparison compares, each a small configuration."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Any
from typing import Literal
from typing import get_args

from keras_grow.comparison.kinds import KINDS
from keras_grow.comparison.kinds import SETTINGS

if TYPE_CHECKING:
    import keras

Targets = Literal["attention", "mlp", "all"]
Prune = Literal["fapm"]
TokenWeights = Literal["dft"]
_CHOICES = {
    "targets": get_args(Targets),
    "prune": get_args(Prune),
    "token_weights": get_args(TokenWeights),
}


@dataclass(frozen=True)
class Method:
    """One way of teaching a model a task, with its settings.

    Attributes:
        name: its name in the results.
        kind: key of `KINDS`, what the method is.
        learning_rate: Adam's learning rate after the warm-up. Given several,
            the comparison takes the one with the lowest loss on held-out
            training examples, see `Plan.sweep_updates`.
        warmup: updates over which the rate rises linearly from zero.
        layers: grown blocks, as in `grow_model`: a number of last blocks,
            indices, or None for all. For `block_expansion`, how many blocks
            to insert, or after which. For `sft`, the only blocks to train.
        factor: width factor of grown MLPs.
        rank: rank of LoRA.
        parameters: number of trainable parameters that LoRA should have,
            instead of `rank`: the closest rank is taken. None to use `rank`.
        targets: the only projections in the blocks that `lora` adapts or
            `sft` trains: those of `"attention"`, of the `"mlp"`, or
            `"all"`. None for KerasHub's LoRA on query and value, and for SFT
            of every weight. LoRA does best on all of them, at about ten
            times the rate of SFT ("LoRA Without Regret", Schulman et al.
            2025): let the sweep of `learning_rate` reach that far.
        prune: `"fapm"` to keep, for a share of the change, that share of its
            entries instead of scaling all of them: those that changed much,
            but little relative to the weight. This is the Forgetting-Aware
            Pruning Metric (Huang et al. 2025, arXiv 2509.08255), which keeps
            a tenth. See `Plan.shares`.
        token_weights: `"dft"` to weight the loss of each token by the model's
            own probability of it: dynamic fine-tuning (Wu et al. 2025, arXiv
            2508.05629).
        most_perplexity: the highest perplexity of a token that is trained on,
            one over the probability that the base gives it: selective token
            masking (Wu et al. 2025, arXiv 2501.14315). None to train on all.
        anchor: weight of the divergence from the base on the plan's
            `anchor_text`, see `keras_grow.KLAnchor`. 0 for none.
        replay: weight of the cross-entropy of the plan's `anchor_text`, in
            place of the divergence on it: rehearsal. 0 for none.
        task_anchor: weight of the divergence from the base on the task's own
            examples, leaving out the token to be learned. This anchor needs
            no text (Xu et al. 2026, arXiv 2605.29498). 0 for none.
        decay_to_start: rate of the decay toward the starting weights, see
            `keras_grow.L2SP`. 0 for none.

    Example:

    ```python
    from keras_grow.comparison import Method

    Method("g_freeze_10", "g_freeze", learning_rate=2e-4, layers=10)
    ```
    """

    name: str
    kind: str
    learning_rate: float | tuple[float, ...]
    warmup: int = 0
    layers: int | tuple[int, ...] | None = None
    factor: int = 2
    rank: int = 8
    parameters: int | None = None
    targets: Targets | None = None
    prune: Prune | None = None
    token_weights: TokenWeights | None = None
    most_perplexity: float | None = None
    anchor: float = 0.0
    replay: float = 0.0
    task_anchor: float = 0.0
    decay_to_start: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a method that cannot run."""
        for name in ("learning_rate", "layers"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.kind not in KINDS:
            raise ValueError(
                f"Expected `kind` to be one of {sorted(KINDS)}. "
                f"Received: kind={self.kind!r}"
            )
        rates = self.learning_rates
        if not rates or not all(rate > 0 for rate in rates):
            raise ValueError(
                "Expected `learning_rate` to be positive, or several that "
                f"are. Received: learning_rate={self.learning_rate!r}"
            )
        held = (self.anchor, self.replay, self.task_anchor)
        if sum(bool(weight) for weight in held) > 1:
            raise ValueError(
                "Expected one of `anchor`, `replay` and `task_anchor`. "
                f"Received: anchor={held[0]}, replay={held[1]}, "
                f"task_anchor={held[2]}"
            )
        if self.most_perplexity is not None and not self.most_perplexity > 1:
            raise ValueError(
                "Expected `most_perplexity` above 1, that of a token the base "
                f"is sure of. Received: most_perplexity={self.most_perplexity}"
            )
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ValueError(
                    f"Expected `{name}` to be one of {choices}, or None. "
                    f"Received: {name}={value!r}"
                )
            unread = name in SETTINGS - {*KINDS[self.kind].settings}
            if value is not None and unread:
                able = [k for k, kind in KINDS.items() if name in kind.settings]
                raise ValueError(
                    f"Expected `{name}` for a method of the kinds {able}. "
                    f"Received: {name}={value!r} with kind={self.kind!r}"
                )

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The learning rate, or those to choose from."""
        if isinstance(self.learning_rate, tuple):
            return self.learning_rate
        return (self.learning_rate,)

    def prepare(self, lm: "keras.Model") -> "keras.Model":
        """Prepare `lm` in place, so that what the method trains is trainable.

        Args:
            lm: a base model, a KerasHub `CausalLM`.

        Returns:
            The model to train: `lm`, or a new one that took its weights.
        """
        from keras_grow.comparison.prepare import prepare_model

        return prepare_model(lm, self)

    def to_dict(self) -> dict[str, Any]:
        """The method as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Method":
        """Make a method from what `to_dict` returned."""
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
        }
        return cls(**known)

    @classmethod
    def parse(cls, text: str) -> "Method":
        """Make a method from the text of a command-line option.

        Args:
            text: `KIND`, or `KIND:setting=value,...`, such as
                `g_freeze:learning_rate=2e-4,layers=10`. Blocks are written
                `layers=0+4+8`, learning rates to choose from
                `learning_rate=1e-5+5e-5`. `name=...` gives it another name.

        Returns:
            The method.

        Raises:
            ValueError: if a kind or a setting is unknown or malformed.
        """
        kind, _, rest = text.partition(":")
        if kind not in KINDS:
            raise ValueError(
                f"Expected a method of a kind in {sorted(KINDS)}. "
                f"Received: {text!r}"
            )
        settings: dict[str, Any] = {"learning_rate": KINDS[kind].rate}
        for part in filter(None, rest.split(",")):
            key, _, value = part.partition("=")
            if key not in _PARSERS or not value:
                raise ValueError(
                    "Expected settings as key=value with keys "
                    f"{sorted(_PARSERS)}. Received: {part!r} in {text!r}"
                )
            settings[key] = _PARSERS[key](value)
        useless = SETTINGS.intersection(settings) - {*KINDS[kind].settings}
        if useless:
            raise ValueError(
                f"Expected only settings of {kind!r}. Received: "
                f"{sorted(useless)} in {text!r}"
            )
        return cls(settings.pop("name", text), kind, **settings)


def _rates(text: str) -> float | tuple[float, ...]:
    # `1e-5+5e-5`, and not the `+` of `1e+5`.
    parts = re.split(r"(?<![eE])\+", text)
    if len(parts) > 1:
        return tuple(float(part) for part in parts)
    return float(text)


def _blocks(text: str) -> int | tuple[int, ...]:
    if "+" in text:
        return tuple(int(part) for part in text.split("+"))
    return int(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "name": str,
    "learning_rate": _rates,
    "warmup": int,
    "layers": _blocks,
    "factor": int,
    "rank": int,
    "parameters": int,
    "targets": str,
    "prune": str,
    "token_weights": str,
    "most_perplexity": float,
    "anchor": float,
    "replay": float,
    "task_anchor": float,
    "decay_to_start": float,
}
