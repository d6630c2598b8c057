"""What a model holds that can grow: found once and passed on."""

from dataclasses import dataclass
from typing import Any

import keras
from keras.layers import Layer

from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.families import Family
from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.keras_internals import flatten_layers
from keras_grow.layers.growable_dense import GrowableDense


@dataclass(frozen=True)
class ModelState:
    """A model, its backbone, the row of its family, and its blocks.

    `model` is a task or a backbone; the lowest block comes first.
    """

    model: Any
    backbone: Any
    family: Family
    blocks: tuple[Layer, ...]

    @classmethod
    def of(cls, model: Any) -> "ModelState":
        """Find them in a KerasHub task or backbone."""
        return cls.over(model, backbone_of(model))

    @classmethod
    def over(cls, model: Any, backbone: Any) -> "ModelState":
        """Find them in a model whose backbone is known."""
        family = family_of(backbone)
        blocks = tuple(family.blocks_of(backbone))
        return cls(model, backbone, family, blocks)

    @property
    def growths(self) -> tuple[GrowthConfig, ...]:
        """The growths of the backbone, oldest first."""
        return growths_on(self.backbone)

    @property
    def names(self) -> list[str]:
        """The names of the growths, oldest first."""
        return [growth.name for growth in self.growths]

    @property
    def training(self) -> str | None:
        """Name of the growth that trains, the newest."""
        return self.names[-1] if self.growths else None

    @property
    def mlps(self) -> dict[int, dict[str, GrowableDense]]:
        """For each grown block, by index, its grown layers by slot."""
        mlps = {}
        for index, block in enumerate(self.blocks):
            layers = self.family.mlp_of(block)
            if isinstance(layers[-1], GrowableDense):
                slots = self.family.slots
                mlps[index] = dict(zip(slots, layers, strict=True))
        return mlps

    @property
    def grown_layers(self) -> list[GrowableDense]:
        """Every grown layer, lowest block first."""
        return [layer for mlp in self.mlps.values() for layer in mlp.values()]

    @property
    def scales(self) -> dict[str, float]:
        """The scale of each growth by its name, oldest first."""
        found: dict[str, float] = {}
        for layer in self.grown_layers:
            for new, scale in zip(layer.slices, layer.scales, strict=True):
                found[new.name] = scale
        return {name: found[name] for name in self.names}

    def slices(self, name: str | None = None) -> list[Layer]:
        """The slices of one growth, or of all."""
        return [
            new
            for layer in self.grown_layers
            for new in layer.slices
            if name in (None, new.name)
        ]

    def set_scales(self, scales: dict[str, float]) -> None:
        """Turn every dial; a growth that is not named goes to 0."""
        for layer in self.grown_layers:
            layer.set_scales(
                [scales.get(new.name, 0.0) for new in layer.slices]
            )

    def read_scales(self) -> None:
        """Let the layers compute what the variables of their scales say."""
        for mlp in self.mlps.values():
            *ups, down = mlp.values()
            scales = [float(scale) for scale in down.scale_variables]
            for layer in (*ups, down):
                layer.set_scales(scales)

    def check_name(self, name: str | None) -> str:
        """The name of a growth of this model; `None` if it has only one."""
        if name is None and len(self.growths) == 1:
            return self.names[0]
        if name in self.names:
            return str(name)
        raise ValueError(
            f"Expected the name of a growth of this model: {self.names}. "
            f"Received: name={name!r}"
        )


def growths_of(model: Any) -> tuple[GrowthConfig, ...]:
    """The growths of a task or backbone, oldest first; empty if ungrown."""
    return growths_on(backbone_of(model))


def growths_on(backbone: Any) -> tuple[GrowthConfig, ...]:
    """The growths of a backbone, whose family may have no row."""
    return tuple(getattr(backbone, "growths", ()))


def grown_state(model: Any) -> ModelState:
    """The state of a grown model; any other model is refused."""
    backbone = backbone_of(model)
    if not growths_on(backbone):
        raise ValueError(
            "Expected a grown model. Received: "
            f"{type(model).__name__} `{model.name}`, which is not grown. Call "
            "`keras_grow.grow_model(model)` first."
        )
    return ModelState.over(model, backbone)


def check_only_mlps(backbone: keras.Model) -> None:
    """Refuse a backbone with an ablation that a call would lose."""
    marks = {getattr(layer, "ablation", None) for layer in layers_of(backbone)}
    if marks - {None}:
        raise ValueError(
            "Expected a model in which only MLPs are grown. Received: "
            f"`{backbone.name}`, with grown attention or inserted blocks. "
            "Grow the MLPs first; save such a model with `save_weights`."
        )


def layers_of(backbone: keras.Model) -> list[Layer]:
    """Every layer of a backbone."""
    return flatten_layers(backbone)
