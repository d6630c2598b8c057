"""`growth_report`: what has grown, what trains, what a step costs."""

from dataclasses import dataclass
from typing import Any

import keras

from keras_grow.growth import costs
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.state import grown_state


@dataclass(frozen=True)
class GrowthReport:
    """The state of a grown model in numbers; print it to read it.

    Attributes:
        growths: the growths, oldest first.
        scales: the scale of each growth by its name.
        num_blocks: transformer blocks of the model.
        widths: for each grown block, MLP width of the base and of the model.
        base_parameters: parameters of the base.
        trainable_parameters: parameters that train now.
        frozen_parameters: parameters that do not.
        weight_bytes: bytes of all weights as they are stored.
        training_bytes: bytes of weights, gradients and Adam's two moments.
        sft_training_bytes: the same for fine-tuning the base in float32.
        forward_ratio: operations of a forward pass over the base's.
        step_ratio: operations of a step that trains the newest growth, over
            SFT's.
        length: tokens of a sequence, for the two ratios.
    """

    growths: tuple[GrowthConfig, ...]
    scales: dict[str, float]
    num_blocks: int
    widths: dict[int, tuple[int, int]]
    base_parameters: int
    trainable_parameters: int
    frozen_parameters: int
    weight_bytes: int
    training_bytes: int
    sft_training_bytes: int
    forward_ratio: float
    step_ratio: float
    length: int

    @property
    def trainable_share(self) -> float:
        """Trainable parameters over those of the base."""
        return self.trainable_parameters / self.base_parameters

    def __str__(self) -> str:
        """A page for people."""
        lines = [
            f"{growth.name}: {growth.strategy}, factor {growth.factor}, "
            f"init {growth.init}, blocks {_ranges(growth.layers)} "
            f"of {self.num_blocks}, scale {self.scales[growth.name]:g}"
            for growth in self.growths
        ]
        lines += [
            _row("trainable parameters", f"{self.trainable_parameters:,}")
            + f"  ({self.trainable_share:.1%} of the base's)",
            _row("frozen parameters", f"{self.frozen_parameters:,}"),
            _row("weights", _gigabytes(self.weight_bytes)),
            _row("training state", _gigabytes(self.training_bytes))
            + f"  (SFT in float32: {_gigabytes(self.sft_training_bytes)})",
            _row("forward FLOPs", f"{self.forward_ratio:.3f}")
            + f"  of the base's, at {self.length} tokens",
            _row("step FLOPs", f"{self.step_ratio:.3f}") + "  of SFT's",
        ]
        return "\n".join(lines)


def growth_report(model: keras.Model, length: int = 512) -> GrowthReport:
    """Report what has grown in a model, what trains, and what a step costs.

    Training state is weights, gradients and two moments in the variable's
    dtype; activations come on top. FLOPs count weight matrix products and
    attention scores, with logits at every position.

    Args:
        model: a grown KerasHub task or backbone.
        length: tokens of a sequence for the FLOP ratios. Defaults to 512.

    Returns:
        The report, which prints as a page for people. It has

        - `growths`, the `GrowthConfig` of each, oldest first, and `scales`,
          the scale of each by its name;
        - `num_blocks`, and `widths`: for each grown block, MLP width of the
          base and of the model;
        - `base_parameters`, `trainable_parameters`, `frozen_parameters`, and
          `trainable_share`, the trainable ones over those of the base;
        - `weight_bytes`, `training_bytes` (of weights, gradients and Adam's
          two moments), `sft_training_bytes` (the same for fine-tuning the
          base in float32);
        - `forward_ratio` and `step_ratio`: operations of a forward pass over
          the base's, and over SFT's those of a step that trains the newest
          growth over what it lies on, at `length` tokens.

    Raises:
        ValueError: if the model is not grown.

    Example:

    ```python
    keras_grow.grow_model(lm, layers=10)
    print(keras_grow.growth_report(lm))
    ```
    """
    state = grown_state(model)
    scales = state.scales
    active = [growth for growth in state.growths if scales[growth.name]]
    shape = costs.ModelShape.of(state.backbone, state.family)
    base_step = costs.sft_step_flops(shape, length)
    # It trains with what it lies on, wherever the dial is now.
    newest = state.growths[-1]
    beneath = [g for g in state.growths if g.name in dict(newest.beneath)]
    step = costs.growth_step_flops(shape, [*beneath, newest], length)
    trainable = sum(costs.size(w) for w in model.trainable_weights)
    parameters = sum(
        costs.size(w) for w in model.weights if costs.is_parameter(w)
    )
    weights = sum(costs.variable_bytes(w) for w in model.weights)
    moments = sum(costs.variable_bytes(w) for w in model.trainable_weights)
    return GrowthReport(
        growths=state.growths,
        scales=scales,
        num_blocks=shape.num_blocks,
        widths={
            index: (mlp_down.base_width, mlp_down.width)
            for index, mlp in state.mlps.items()
            for mlp_down in [list(mlp.values())[-1]]
        },
        base_parameters=shape.parameters,
        trainable_parameters=trainable,
        frozen_parameters=parameters - trainable,
        weight_bytes=weights,
        training_bytes=weights + 3 * moments,
        sft_training_bytes=shape.parameters * (4 + costs.ADAM_BYTES),
        forward_ratio=costs.forward_flops(shape, active, length)
        / costs.forward_flops(shape, (), length),
        step_ratio=step / base_step,
        length=length,
    )


def _row(name: str, value: str) -> str:
    return f"  {name:<22}{value:>14}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3f} GB"


def _ranges(indices: Any) -> str:
    """Block indices as `0-3, 7`."""
    parts: list[list[int]] = []
    for index in indices:
        if parts and index == parts[-1][-1] + 1:
            parts[-1].append(index)
        else:
            parts.append([index])
    return ", ".join(
        str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts
    )
