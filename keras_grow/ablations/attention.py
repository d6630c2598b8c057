"""Growing the attention in place of the MLP: the paper's ablations."""

from typing import Any
from typing import NoReturn

import keras
import keras_hub
from keras.layers import Layer

from keras_grow.ablations.grown_attention import GROWS
from keras_grow.ablations.grown_attention import GrownAttention
from keras_grow.files.checked_json import check_choice
from keras_grow.files.checked_json import check_int
from keras_grow.growth.compiled import check_resettable
from keras_grow.growth.compiled import models_in
from keras_grow.growth.compiled import reset_compiled
from keras_grow.growth.config import resolve_layers
from keras_grow.growth.families import backbone_of
from keras_grow.growth.state import ModelState
from keras_grow.growth.trainable import train_only
from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import replace_sublayer

NEEDED = (
    "query_dense",
    "key_dense",
    "value_dense",
    "output_dense",
    "_apply_rope",
    "_compute_attention",
)
# Gemma 4 has all of these, and blocks that reach for more.
_KINDS = (
    keras_hub.models.GemmaBackbone,
    keras_hub.models.Gemma3Backbone,
    keras_hub.models.PaliGemmaBackbone,
)


def grow_attention(
    model: keras.Model,
    grows: str = "heads",
    factor: int = 2,
    layers: Any = None,
    *,
    slice_dtype: str = "float32",
) -> keras.Model:
    """Grow the attention of a Gemma without changing its function.

    The model is changed in place. From now on only the new weights train, and
    the slices of an earlier MLP growth. `growth_disabled` restores the base.
    `generate` works with its cache, except if only some blocks of a Gemma or
    Gemma 2 grow with `grows="head_dim"`.

    In float32 the logits differ from the base's by rounding, up to about
    1e-5 of their size. The paper compares these with growing the MLP, and they
    are made for that comparison: growth files, presets and `merge_growth` do
    not support them. Save the weights with `save_weights`, and load them into a
    base that is grown in the same way.

    Args:
        model: a KerasHub `GemmaCausalLM` or `Gemma3CausalLM`, or its
            backbone.
        grows: `"heads"`: `factor` times as many query heads over the same
            keys and values. `"head_dim"`: queries, keys and values `factor`
            times as long.
        factor: int of 2 or more. Defaults to 2.
        layers: the blocks to grow, as in `grow_model`. Defaults to `None`.
        slice_dtype: dtype of the new variables, `"float32"` or the dtype that
            the model computes in. Defaults to `"float32"`.

    Returns:
        `model`.

    Raises:
        TypeError: if `model` is not a KerasHub model.
        ValueError: if its attention is of another kind, unbuilt, quantized,
            under LoRA or grown already, or an argument is out of range. The
            model is as it was.

    Example:

    ```python
    from keras_grow.ablations import grow_attention

    grow_attention(lm, grows="heads", layers=10)
    lm.fit({"prompts": ["2 + 2 ="], "responses": [" 4"]})
    ```
    """
    state = ModelState.of(model)
    backbone, blocks = state.backbone, state.blocks
    indices = resolve_layers(layers, len(blocks))
    check_choice(grows, "grows", GROWS)
    factor = check_int(factor, "factor", 2)
    if getattr(backbone, "expansions", None):
        raise ValueError(
            "Expected a model without inserted blocks, whose training would "
            "end. Received: a model from `expand_blocks`."
        )
    if not isinstance(backbone, _KINDS):
        raise ValueError(
            "Expected a Gemma, Gemma 2 or Gemma 3 of KerasHub. "
            f"Received: {type(backbone).__name__}. Grow the MLPs of other "
            "families, with `grow_model`."
        )
    for index in indices:
        _check_attention(blocks[index], index, slice_dtype)
    check_resettable(model)
    grown = {}
    for index in indices:
        block = blocks[index]
        with keras.name_scope(block.name):
            layer = GrownAttention(
                block.attention,
                grows,
                factor,
                slice_dtype,
                every_block=len(indices) == len(blocks),
            )
            layer.build((None, None, block.hidden_dim))
        grown[block] = layer
    for block, layer in grown.items():
        replace_sublayer(block, "attention", layer)
    for part in models_in(model):
        # Keras empties an old file before it asks for a config.
        part.get_config = part.save = _refuse
    backbone.enable_lora = _refuse
    newest = state.slices(state.training) if state.growths else []
    train_only(backbone, [*newest, *attention_slices(backbone)])
    reset_compiled(model)
    return model


def attention_slices(model: keras.Model) -> list[Layer]:
    """The new layers of all grown attentions of a model, lowest block first."""
    return [
        new
        for layer in flatten_layers(backbone_of(model))
        if isinstance(layer, GrownAttention)
        for new in layer.slices
    ]


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """In place of methods that would make a model that could not be loaded."""
    raise ValueError(
        "Expected a model whose attention is as KerasHub made it. Received: "
        "grown attention, which `save`, `save_to_preset` and `enable_lora` do "
        "not support. Use `save_weights`, and load them into a base that is "
        "grown in the same way."
    )


def _check_attention(block: Layer, index: int, slice_dtype: str) -> None:
    """Refuse a block whose attention cannot be grown."""
    attention: Any = getattr(block, "attention", None)
    if isinstance(attention, GrownAttention):
        raise ValueError(
            "Expected an attention that is not grown yet. Received: that of "
            f"block {index}, already grown in {attention.grows!r}."
        )
    if not all(hasattr(attention, name) for name in NEEDED):
        raise ValueError(
            "Expected the attention of KerasHub's Gemma, Gemma 2 or Gemma 3. "
            f"Received: {attention!r} in block {index}"
        )
    if not block.built:
        raise ValueError(
            f"Expected a built model. Received: block {index}, which has no "
            "weights yet. Call the model once first."
        )
    for layer in flatten_layers(attention, include_self=False):
        if layer.quantization_mode is not None:
            raise ValueError(
                f"Expected float weights to copy. Received: `{layer.name}` of "
                f"block {index}, quantized to {layer.quantization_mode}. "
                "Grow the model first."
            )
        if getattr(layer, "lora_enabled", False):
            raise ValueError(
                "Expected an attention without LoRA. Received: "
                f"`{layer.name}` of block {index} with LoRA of rank "
                f"{layer.lora_rank}"
            )
    compute = attention.compute_dtype
    if slice_dtype not in ("float32", compute):
        raise ValueError(
            'Expected `slice_dtype` to be "float32" or the dtype that the '
            f'model computes in, "{compute}". '
            f"Received: slice_dtype={slice_dtype!r}"
        )
