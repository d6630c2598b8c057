"""Registered classes under which a grown model is saved and loaded.

KerasHub finds the task class of a saved backbone by exact class, so a grown
backbone has a class of its own, and so has its task.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras.layers import Layer

from keras_grow.files.checked_json import show
from keras_grow.growth import apply
from keras_grow.growth import lora
from keras_grow.growth import surgery
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.families import FAMILIES
from keras_grow.growth.families import Family
from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.growth.fits import check_fits
from keras_grow.growth.stored import check_total_width
from keras_grow.growth.stored import parse_growths
from keras_grow.growth.stored import parse_lora
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.layers.grown_attention import GrownAttention
from keras_grow.layers.quantised import quantised_layers
from keras_grow.layers.quantised import weights_only


class GrownBackbone:
    """What a grown backbone adds to its KerasHub class: it can be saved.

    Attributes:
        growths: the growths of the backbone, oldest first.
    """

    growths: tuple[GrowthConfig, ...] = ()

    def get_config(self) -> dict[str, Any]:
        """The config of the base backbone, and the growths."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        config["growths"] = [g.to_dict() for g in self.growths]
        config["lora"] = lora.lora_ranks(self)
        # KerasHub's config says which layers are in int8, not how.
        layers = quantised_layers(self)
        if layers and all(weights_only(layer) for layer in layers):
            config["quantized"] = "weights"
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Model:
        """Build the base backbone and grow it as it was grown.

        Raises:
            ValueError: if the config says what no grown model does.
        """
        config = dict(config)
        growths = parse_growths(config.pop("growths", None))
        ranks = parse_lora(config.pop("lora", {}))
        quantised = config.pop("quantized", None)
        if quantised not in (None, "weights"):
            raise ValueError(
                'Expected `quantized` to be None or "weights". '
                f"Received: quantized={show(quantised)}"
            )
        base = next(base for base in cls.__mro__ if base in FAMILIES)
        backbone = base.from_config(config)  # type: ignore[attr-defined]
        if quantised:
            for layer in quantised_layers(backbone):
                layer.inputs_quantizer = None
        growths = check_fits(backbone, growths, ranks)
        for growth in growths:
            add_growth(backbone, growth)
        lora.enable(backbone, ranks)
        surgery.train_only(backbone, newest_slices(backbone))
        return backbone

    def enable_lora(
        self, rank: int, target_layer_names: Sequence[str] | None = None
    ) -> None:
        """Enable LoRA beside the growth: both train, nothing else does.

        Args:
            rank: the rank of the factorisation.
            target_layer_names: names of the layers, query and value by
                default. The grown MLPs cannot be among them.

        Raises:
            ValueError: if a layer of a grown MLP is named.
        """
        grown = {layer.name for layer in grown_layers(self)}
        named = grown.intersection(target_layer_names or ())
        if named:
            raise ValueError(
                "Expected LoRA on layers other than the grown MLPs, whose new "
                "slices train already. Received: "
                f"target_layer_names={list(target_layer_names or ())}"
            )
        super().enable_lora(rank, target_layer_names)  # type: ignore[misc]
        lora.save_apart(self)
        surgery.train_only(self, newest_slices(self))


def register_family(family: Family) -> None:
    """Teach keras_grow where the MLPs of a further KerasHub family sit.

    Args:
        family: the row of data. Register it before a saved grown model of
            that family is loaded, too.

    Raises:
        ValueError: if the backbone class is registered already.

    Example:

    ```python
    import keras_hub
    import keras_grow

    keras_grow.register_family(
        keras_grow.Family(
            keras_hub.models.LlamaBackbone,
            keras_hub.models.LlamaCausalLM,
            up=(
                "_feedforward_gate_dense",
                "_feedforward_intermediate_dense",
            ),
            down="_feedforward_output_dense",
        )
    )
    ```
    """
    if family.backbone_cls in FAMILIES:
        raise ValueError(
            "Expected a backbone class without a row. Received: "
            f"{family.backbone_cls.__name__}, which is registered already."
        )
    FAMILIES[family.backbone_cls] = family
    _make_grown_classes(family)


def grown_class(family: Family) -> type:
    """The class of a grown backbone of `family`."""
    name = f"keras_grow>Grown{family.backbone_cls.__name__}"
    cls: type = keras.saving.get_registered_object(name)
    return cls


def add_growth(backbone: keras.Model, config: GrowthConfig) -> None:
    """Grow `backbone` in place: new layers, new class, only they train.

    Everything that can fail happens before the first change.

    Args:
        backbone: a KerasHub backbone, grown before or not.
        config: the growth.

    Raises:
        ValueError: if the backbone cannot be grown so.
    """
    check_only_mlps(backbone)
    family = family_of(backbone)
    growths = (*growths_of(backbone), config)
    check_total_width(growths)
    grown = apply.grow_blocks(backbone, family, config, number=len(growths))
    for block, layers in grown.items():
        for attribute, layer in layers.items():
            surgery.replace_layer(block, attribute, layer)
    backbone.__class__ = grown_class(family)
    backbone.growths = growths
    lora.save_apart(backbone)
    surgery.train_only(backbone, newest_slices(backbone))


def remove_growth(model: keras.Model) -> keras.Model:
    """Undo every growth in place: the base is back, the slices are dropped.

    Args:
        model: a grown KerasHub task or backbone.

    Returns:
        `model`, ungrown, with every weight trainable.

    Raises:
        ValueError: if the model is not grown.

    Example:

    ```python
    keras_grow.grow_model(lm)
    keras_grow.remove_growth(lm)  # lm is the model that it was
    ```
    """
    backbone = check_grown(model)
    check_only_mlps(backbone)
    family = family_of(backbone)
    for block in family.blocks_of(backbone):
        for attribute in family.slots:
            layer = getattr(block, attribute)
            if isinstance(layer, GrowableDense):
                surgery.replace_layer(block, attribute, layer.base)
    backbone.__class__ = family.backbone_cls
    del backbone.growths
    lora.save_merged(backbone)
    surgery.train_all(model)
    surgery.reset_compiled(model)
    return model


def growths_of(model: Any) -> tuple[GrowthConfig, ...]:
    """The growths of a task or backbone, oldest first; empty if ungrown."""
    return tuple(getattr(backbone_of(model), "growths", ()))


def check_grown(model: Any) -> keras.Model:
    """The backbone of a grown model.

    Raises:
        ValueError: if the model is not grown.
    """
    backbone = backbone_of(model)
    if not growths_of(backbone):
        raise ValueError(
            "Expected a grown model. Received: "
            f"{type(model).__name__} `{model.name}`, which is not grown. Call "
            "`keras_grow.grow_model(model)` first."
        )
    return backbone


def check_only_mlps(backbone: keras.Model) -> None:
    """Refuse a backbone with an ablation that this call would lose.

    Raises:
        ValueError: if its attention is grown or blocks were inserted.
    """
    attention = any(
        isinstance(layer, GrownAttention)
        for layer in backbone._flatten_layers()
    )
    if attention or getattr(backbone, "expansions", None):
        raise ValueError(
            "Expected a model of which nothing but MLPs is grown. Received: "
            f"`{backbone.name}`, with grown attention or inserted blocks. "
            "Grow the MLPs first; keep such a model with `save_weights`."
        )


def check_switched_on(backbone: keras.Model) -> None:
    """Refuse a grown backbone that is switched off, with LoRA beside it.

    Raises:
        ValueError: inside `growth_disabled`.
    """
    if not all(layer.growth_enabled for layer in grown_layers(backbone)):
        raise ValueError(
            "Expected a grown model that is switched on. Received: "
            f"`{backbone.name}` inside `growth_disabled`. Leave the `with` "
            "block first."
        )


def grown_layers(model: Any) -> list[GrowableDense]:
    """Every `GrowableDense` of a model, lowest block first."""
    return [
        layer for mlp in grown_mlps(model).values() for layer in mlp.values()
    ]


def grown_mlps(model: Any) -> dict[int, dict[str, GrowableDense]]:
    """For each grown block, by index, its grown layers by attribute."""
    backbone = backbone_of(model)
    family = family_of(backbone)
    mlps = {}
    for index, block in enumerate(family.blocks_of(backbone)):
        layers = family.mlp_of(block)
        if isinstance(layers[-1], GrowableDense):
            mlps[index] = dict(zip(family.slots, layers, strict=True))
    return mlps


def newest_slices(model: Any) -> list[Layer]:
    """The slices of the last growth: those that train."""
    growths = growths_of(model)
    names = apply.slice_names(growths[-1], len(growths)) if growths else []
    return [
        new
        for layer in grown_layers(model)
        for new in layer.slices
        if new.name in names
    ]


def _make_grown_classes(family: Family) -> None:
    """Register the classes of grown models of `family`."""
    register = keras.saving.register_keras_serializable(package="keras_grow")

    def subclass(base: type, *mixins: type, **attributes: Any) -> type:
        name = f"Grown{base.__name__}"
        doc = f"A `{base.__name__}` that `keras_grow` has grown."
        attributes = {"__module__": __name__, "__doc__": doc, **attributes}
        cls: type = register(type(name, (*mixins, base), attributes))
        return cls

    backbone = subclass(family.backbone_cls, GrownBackbone)
    subclass(family.task_cls, backbone_cls=backbone)


for _family in FAMILIES.values():
    _make_grown_classes(_family)
