"""Classes of grown models: each derives from the class that the model had.

They add what a grown model must know when it is saved, loaded, frozen and
trained. KerasHub finds the task class of a saved backbone by exact class, so
a grown backbone has its own class, and so does its task.
"""

import functools
import os
from collections.abc import Sequence
from typing import Any
from typing import cast

import keras
import keras_hub

from keras_grow.files.checked_json import show
from keras_grow.growth import build
from keras_grow.growth import lora
from keras_grow.growth import preset
from keras_grow.growth.checked import Checked
from keras_grow.growth.compiled import own_step
from keras_grow.growth.compiled import sync_part
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import check_scales
from keras_grow.growth.derive import PACKAGE
from keras_grow.growth.derive import derive
from keras_grow.growth.derive import grown_name
from keras_grow.growth.derive import is_registered
from keras_grow.growth.derive import plain_class_of
from keras_grow.growth.derive import saved_as
from keras_grow.growth.families import FAMILIES
from keras_grow.growth.families import config_of
from keras_grow.growth.families import tasks_over
from keras_grow.growth.families import write_whole_config
from keras_grow.growth.fits import check_fits
from keras_grow.growth.fits import check_saved
from keras_grow.growth.grown_block import become_grown_block
from keras_grow.growth.grown_block import put
from keras_grow.growth.ready import check_moves
from keras_grow.growth.ready import check_ready
from keras_grow.growth.state import ModelState
from keras_grow.growth.stored import missing_beneath
from keras_grow.growth.stored import parse_growths
from keras_grow.growth.stored import parse_lora
from keras_grow.growth.trainable import train_only
from keras_grow.keras_internals import set_own_trainable
from keras_grow.layers.int8 import quantized_layers
from keras_grow.layers.int8 import weights_only


class Grown(Checked):
    """Mixin of every grown class, which follows the dial of its backbone.

    Another model over the same backbone may have turned that dial. A model that
    must not train as it is refuses to. `plain_class` is the class that the
    object had before it grew.
    """

    plain_class: type

    def make_train_function(self, force: bool = False) -> Any:
        """Refuse a dial with which the newest growth must not train."""
        sync_part(cast(Any, self))
        check_ready(ModelState.of(self))
        model = cast(keras.Model, self)
        check_moves(model.optimizer, model.trainable_variables)
        with own_step(self, "train_step"):
            return super().make_train_function(force)  # type: ignore[misc]

    def make_test_function(self, force: bool = False) -> Any:
        """Keras' own, for the growths that are active now."""
        sync_part(cast(Any, self))
        with own_step(self, "test_step"):
            return super().make_test_function(force)  # type: ignore[misc]

    def make_predict_function(self, force: bool = False) -> Any:
        """Keras' own, for the growths that are active now."""
        sync_part(cast(Any, self))
        return super().make_predict_function(force)  # type: ignore[misc]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Keras' own; the dials are among the weights."""
        super().set_weights(weights)  # type: ignore[misc]
        ModelState.of(self).read_scales()


class GrownTask(Grown):
    """Mixin of a task over a grown backbone."""

    @property
    def trainable(self) -> bool:
        """Whether anything of the model trains."""
        return bool(self._trainable)  # type: ignore[attr-defined]

    @trainable.setter
    def trainable(self, value: bool) -> None:
        task = cast(Any, self)
        set_own_trainable(task, value)
        # The head is the embedding of the backbone: it was reached, too.
        # TensorFlow skips the setter where the value stays what it was.
        backbone = getattr(task, "backbone", None)
        if isinstance(backbone, GrownBackbone):
            cast(Any, GrownBackbone.trainable).fset(backbone, value)


class GrownGenerator(GrownTask):
    """Mixin of a task that generates."""

    def make_generate_function(self) -> Any:
        """KerasHub's own, for the growths that are active now."""
        sync_part(cast(Any, self))
        return super().make_generate_function()  # type: ignore[misc]


class GrownBackbone(Grown, lora.SavesLora):
    """Mixin of a grown backbone, so that it can be saved.

    `growths` are oldest first.
    """

    growths: tuple[GrowthConfig, ...] = ()

    @property
    def trainable(self) -> bool:
        """Whether anything of the model trains."""
        return bool(self._trainable)  # type: ignore[attr-defined]

    @trainable.setter
    def trainable(self, value: bool) -> None:
        backbone = cast(Any, self)
        set_own_trainable(backbone, value)
        if value:
            # The base stays frozen; its layers can be thawed one by one.
            train_growth(ModelState.of(backbone))

    def get_config(self) -> dict[str, Any]:
        """The config of the base backbone, and the growths."""
        config = config_of(self, self.plain_class)
        config["growths"] = [growth.to_dict() for growth in self.growths]
        state = ModelState.of(self)
        config["scales"] = state.scales
        config["lora"] = lora.lora_ranks(self)
        check_saved(state, self.growths, config["lora"])
        # KerasHub's config says which layers are in int8, not how.
        layers = quantized_layers(self)
        if layers and all(weights_only(layer) for layer in layers):
            config["quantized"] = "weights"
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Model:
        """Build the base backbone and grow it in the same way."""
        config = dict(config)
        growths = parse_growths(config.pop("growths", None))
        names = [growth.name for growth in growths]
        missing = missing_beneath(growths)
        if missing:
            raise ValueError(
                "Expected growths on top of growths of the same model. "
                f"Received: growths={names}, which need {missing}"
            )
        whole = dict.fromkeys(names, 1.0)
        scales = check_scales(config.pop("scales", whole), names)
        ranks = parse_lora(config.pop("lora", {}))
        quantized = config.pop("quantized", None)
        if quantized not in (None, "weights"):
            raise ValueError(
                'Expected `quantized` to be None or "weights". '
                f"Received: quantized={show(quantized)}"
            )
        plain: Any = cls.plain_class
        backbone = plain.from_config(config)
        if quantized:
            for layer in quantized_layers(backbone):
                layer.inputs_quantizer = None
        state = ModelState.of(backbone)
        for growth in check_fits(state, growths, ranks):
            add_growth(state, growth, stored=True)
        state.set_scales(scales)
        lora.enable(backbone, ranks)
        train_growth(state)
        return cast(keras.Model, backbone)

    def enable_lora(
        self, rank: int, target_layer_names: Sequence[str] | None = None
    ) -> None:
        """Enable LoRA beside the growth: both train, nothing else does.

        The target is query and value by default. The grown MLPs cannot be among
        the named layers.
        """
        state = ModelState.of(self)
        grown = state.grown_layers
        lora.check_targets(state.backbone, grown, target_layer_names)
        super().enable_lora(rank, target_layer_names)  # type: ignore[misc]
        lora.note(self)
        train_growth(state)

    def save_to_preset(
        self, preset_dir: str | os.PathLike[str], *args: Any, **options: Any
    ) -> None:
        """Save to a preset; the task in it, saved before, is a grown one."""
        backbone: Any = super()
        backbone.save_to_preset(preset_dir, *args, **options)
        plain = preset.task_in(preset_dir, type(self))
        if plain is not None:
            grown: Any = grown_task_class(plain)
            grown.backbone_cls = type(self)
            preset.name_task(preset_dir, f"{PACKAGE}>{grown_name(plain)}")


def add_growth(
    state: ModelState, config: GrowthConfig, stored: bool = False
) -> None:
    """Grow a backbone in place: new layers and classes, the rest frozen.

    A `stored` growth gets its weights later. Everything that can fail happens
    before the first change.
    """
    grown = build.grow_blocks(state.blocks, state.family, config, stored)
    for block, layers in grown.items():
        put(block, layers)
    note_growths(state, (*state.growths, config))
    lora.note(state.backbone)
    train_growth(state)


def note_growths(state: ModelState, growths: Sequence[GrowthConfig]) -> None:
    """Let the backbone and its blocks know what their growths are."""
    backbone = state.backbone
    plain = plain_class_of(backbone)
    if growths:
        backbone.__class__ = grown_backbone_class(plain)
        backbone.growths = tuple(growths)
        # The config of a grown backbone is its class's.
        vars(backbone).pop("get_config", None)
    else:
        backbone.__class__ = plain
        if "growths" in vars(backbone):
            del backbone.growths
        write_whole_config(backbone)
    for index, block in enumerate(state.blocks):
        here = [growth for growth in growths if index in growth.layers]
        become_grown_block(block, state.family.slots, here)


def train_growth(state: ModelState) -> None:
    """Let the newest growth train, LoRA beside it, and nothing else."""
    newest = state.slices(state.training) if state.growths else []
    train_only(state.backbone, newest)


@functools.cache
def grown_backbone_class(plain: Any) -> type:
    """The grown class of the backbone class `plain`."""
    cls = derive(plain, GrownBackbone)
    _register(cls, grown_name(plain))
    for task in tasks_over(plain):
        grown_task: Any = grown_task_class(task)
        grown_task.backbone_cls = cls
    return cls


@functools.cache
def grown_task_class(plain: Any) -> type:
    """The class of a task that was a `plain`; it is saved as one."""
    generates = hasattr(plain, "make_generate_function")
    cls = derive(plain, GrownGenerator if generates else GrownTask)
    cls.__name__, cls.__qualname__ = plain.__name__, plain.__qualname__
    cls.__module__ = plain.__module__
    if is_registered(plain):
        # Among the registered classes KerasHub looks for a backbone's task.
        _register(cls, grown_name(plain))
    return saved_as(cls, plain)


def become_grown_task(model: Any) -> None:
    """Give a task over a grown backbone the class of grown tasks."""
    if isinstance(model, keras_hub.models.Backbone):
        return
    plain = plain_class_of(model)
    cls: Any = grown_task_class(plain)
    cls.backbone_cls = type(model.backbone)
    model.__class__ = cls


def become_plain_task(model: Any) -> None:
    """Give a task the class that it had before its backbone grew."""
    if isinstance(model, GrownTask):
        cast(Any, model).__class__ = model.plain_class


def _register(cls: type, name: str) -> None:
    keras.saving.register_keras_serializable(PACKAGE, name)(cls)


for _cls in FAMILIES:
    grown_backbone_class(_cls)
