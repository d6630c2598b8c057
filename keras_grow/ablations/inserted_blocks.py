"""Backbones with inserted blocks, and the classes they are saved under."""

from typing import Any
from typing import NoReturn

import keras
import keras_hub
from keras import ops
from keras.layers import Layer

from keras_grow.growth.families import FAMILIES
from keras_grow.growth.families import Family
from keras_grow.growth.families import family_of
from keras_grow.growth.families import tasks_over
from keras_grow.growth.trainable import train_only
from keras_grow.keras_internals import flatten_layers

POST_NORMS = ("use_post_attention_norm", "use_post_ffw_norm")


class InsertedBlock:
    """Mixin of an inserted decoder block, which can be left out."""

    growth_enabled = True
    ablation = "inserted_block"

    def call(
        self,
        x: Any,
        padding_mask: Any = None,
        vision_mask: Any = None,
        cache: Any = None,
        cache_update_index: Any = 0,
        cache_update_mask: Any = None,
    ) -> Any:
        """Run the block, or pass its input on while growth is off."""
        if not self.growth_enabled:
            return x if cache is None else (x, cache)
        # Gemma's block takes fewer arguments than Gemma 3's.
        masks = {
            "vision_mask": vision_mask,
            "cache_update_mask": cache_update_mask,
        }
        return super().call(  # type: ignore[misc]
            x,
            padding_mask=padding_mask,
            cache=cache,
            cache_update_index=cache_update_index,
            **{k: mask for k, mask in masks.items() if mask is not None},
        )


class ExpandedBackbone:
    """Mixin of an expanded backbone, so that it can be saved.

    `expansions` are indices, in the base, of the blocks that are followed by an
    inserted one.
    """

    expansions: tuple[int, ...] = ()
    post_norms: bool = False
    block_dtype: str = "float32"

    def get_config(self) -> dict[str, Any]:
        """The config of the base, and where blocks were inserted."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return {
            **config,
            "num_layers": config["num_layers"] - len(self.expansions),
            "expansions": list(self.expansions),
            "post_norms": self.post_norms,
            "block_dtype": self.block_dtype,
        }

    def enable_lora(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: the new blocks would no longer train."""
        raise ValueError(
            "Expected a model without inserted blocks: LoRA would freeze them, "
            "and files would not keep the base apart. Received: a model from "
            "`expand_blocks`. Enable LoRA on the base."
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Model:
        """Build the base and insert the same blocks."""
        config = dict(config)
        after = tuple(config.pop("expansions"))
        post_norms = config.pop("post_norms")
        block_dtype = config.pop("block_dtype")
        base = next(base for base in cls.__mro__ if base in FAMILIES)
        backbone = base.from_config(config)  # type: ignore[attr-defined]
        if block_dtype not in ("float32", backbone.compute_dtype):
            block_dtype = "float32"
        return insert_blocks(backbone, after, post_norms, block_dtype)


def insert_blocks(
    backbone: keras.Model,
    after: tuple[int, ...],
    post_norms: bool,
    block_dtype: str,
) -> keras.Model:
    """Make a backbone over the layers of another, with blocks inserted.

    The layers are shared, and frozen: only the new blocks, each after a block
    of `after`, are trained.
    """
    family = family_of(backbone)
    blocks = list(family.blocks_of(backbone))
    new = {
        id(blocks[index]): _identity(
            blocks[index], family, post_norms, block_dtype
        )
        for index in after
    }

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        if id(layer) in new:
            return new[id(layer)](outputs, *args[1:], **kwargs)
        return outputs

    graph = keras.models.clone_model(
        backbone, clone_function=lambda layer: layer, call_function=call
    )
    cls = expanded_class(family)
    expanded = cls.__new__(cls)
    keras_hub.models.Backbone.__init__(
        expanded,
        inputs=graph.input,
        outputs=graph.output,
        dtype=backbone.dtype_policy,
        name=backbone.name,
    )
    # Sizes and layers that KerasHub's constructor sets are read by its tasks.
    for name, value in vars(backbone).items():
        if name not in vars(expanded) and not name.startswith("_"):
            setattr(expanded, name, value)
    expanded.token_embedding = backbone.token_embedding
    stack = []
    for block in blocks:
        stack += [block, new[id(block)]] if id(block) in new else [block]
    setattr(expanded, family.blocks, stack)
    expanded.num_layers = len(stack)
    expanded.expansions = after
    expanded.post_norms = post_norms
    expanded.block_dtype = block_dtype
    for block in blocks:
        if id(block) in new:
            _copy(block, new[id(block)], family)
    _quantize_as_saved(expanded, backbone.dtype_policy)
    train_only(
        expanded,
        [layer for block in new.values() for layer in flatten_layers(block)],
    )
    return expanded


def _identity(
    block: Layer, family: Family, post_norms: bool, block_dtype: str
) -> Layer:
    """An unbuilt block like `block` that can be left out."""
    config = block.get_config()
    compute = block.compute_dtype
    config["dtype"] = compute if block_dtype == compute else f"mixed_{compute}"
    config["name"] = f"{block.name}_inserted"
    config["trainable"] = True
    if not post_norms:
        config.update(dict.fromkeys(POST_NORMS, False))
    cls: Any = type(
        f"Inserted{type(block).__name__}", (InsertedBlock, type(block)), {}
    )
    new: Layer = cls.from_config(config)
    new.growth_enabled = True
    return new


def _copy(block: Layer, new: Layer, family: Family) -> None:
    """Give `new` the weights of `block`, with zero output projections."""
    start = len(block.path) + 1
    values = {weight.path[start:]: weight for weight in block.weights}
    zeros = {id(new.attention.output_dense.kernel)}
    zeros.add(id(getattr(new, family.down).kernel))
    start = len(new.path) + 1
    for weight in new.weights:
        value = ops.cast(values[weight.path[start:]], weight.dtype)
        value = ops.copy(value)
        weight.assign(ops.zeros_like(value) if id(weight) in zeros else value)


def _quantize_as_saved(expanded: keras.Model, policies: Any) -> None:
    """Quantize new blocks that were when their model was saved."""
    if not isinstance(policies, keras.dtype_policies.DTypePolicyMap):
        return
    modes = {path: policies[path].quantization_mode for path in policies}
    for layer in flatten_layers(expanded):
        mode = modes.get(layer.path)
        if mode is not None and layer.quantization_mode is None:
            layer.quantize(mode)


def expanded_class(family: Family) -> Any:
    """The class of an expanded backbone of `family`."""
    name = f"keras_grow>Expanded{family.backbone_cls.__name__}"
    return keras.saving.get_registered_object(name)


def _make_expanded_classes(family: Family) -> None:
    """Register the classes of expanded models of `family`."""
    register = keras.saving.register_keras_serializable(package="keras_grow")

    def subclass(base: type, *mixins: type, **attributes: Any) -> type:
        name = f"Expanded{base.__name__}"
        doc = f"A `{base.__name__}` with blocks that `keras_grow` inserted."
        attributes = {"__module__": __name__, "__doc__": doc, **attributes}
        cls: type = register(type(name, (*mixins, base), attributes))
        return cls

    backbone = subclass(family.backbone_cls, ExpandedBackbone)
    for task_cls in tasks_over(family.backbone_cls):
        subclass(task_cls, backbone_cls=backbone)


for _cls in (
    keras_hub.models.GemmaBackbone,
    keras_hub.models.Gemma3Backbone,
):
    _make_expanded_classes(FAMILIES[_cls])
