"""Block expansion as in LLaMA Pro: the rival to growth."""

from collections.abc import Collection
from collections.abc import Sequence

import keras

from keras_grow.ablations.attention import attention_slices
from keras_grow.ablations.inserted_blocks import expanded_class
from keras_grow.ablations.inserted_blocks import insert_blocks
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import show
from keras_grow.growth.config import check_indices
from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.growth.state import growths_of
from keras_grow.keras_internals import flatten_layers


def expand_blocks(
    model: keras.Model,
    num_new_blocks: int | None = None,
    *,
    after: Sequence[int] | None = None,
    post_norms: bool = False,
    block_dtype: str = "float32",
) -> keras.Model:
    """Insert new blocks that do nothing yet, and train only them.

    Block expansion of LLaMA Pro (arXiv 2401.02415, section 3.2): a new block
    is a copy of the block below, local or global like it, whose output
    projections are zero, so it passes its input on unchanged. In float32 the
    logits are the base's bit for bit.

    LLaMA has no norm after attention and MLP; Gemma 2 and Gemma 3 do. Such a
    norm scales even a tiny output to full size: with `post_norms=True` the
    first update, however small, makes a new block as strong as its original. On
    Gemma 3 270M with six new blocks, one update of Adam at 1e-4 on four
    captions took the perplexity of eight WikiText-2 passages from 53 to over
    1e12. Without post-norms, the default, it stayed at 53, and was 58 after
    eight.

    Unlike `grow_model`, this returns another model, because the graph has more
    nodes. It shares the layers of `model`, which this call freezes, so it needs
    memory only for the new blocks. `generate`, `save` and `growth_disabled`
    work as before.

    Args:
        model: a KerasHub `GemmaCausalLM` or `Gemma3CausalLM` without growth,
            or its backbone.
        num_new_blocks: int, how many blocks to insert: the blocks of the base
            are divided into that many groups, as equal as possible, and the
            last block of each is copied. Give either this or `after`.
        after: indices of blocks of the base, each to be followed by a copy.
        post_norms: whether new blocks keep the post-norms of the block below.
            Defaults to `False`.
        block_dtype: dtype of the new variables, `"float32"` or the dtype that
            the model computes in. Defaults to `"float32"`.

    Returns:
        A model of the class of `model` that trains only the new blocks. A task
        is compiled with KerasHub's defaults, like every new task.

    Raises:
        TypeError: if `model` is not a KerasHub model.
        ValueError: if it is grown, expanded, quantized or under LoRA, or of
            another family, or an argument is out of range.

    Example:

    ```python
    from keras_grow.ablations import expand_blocks

    lm = expand_blocks(lm, num_new_blocks=6)
    lm.fit({"prompts": ["2 + 2 ="], "responses": [" 4"]})
    ```
    """
    backbone = backbone_of(model)
    blocks = family_of(backbone).blocks_of(backbone)
    indices = _indices(num_new_blocks, after, len(blocks))
    _check(backbone, block_dtype)
    expanded = insert_blocks(backbone, indices, post_norms, block_dtype)
    if model is backbone:
        return expanded
    return type(model)(
        backbone=expanded, preprocessor=model.preprocessor, name=model.name
    )


def _indices(
    num_new_blocks: int | None, after: Sequence[int] | None, num_blocks: int
) -> tuple[int, ...]:
    """The blocks to be followed by a new one."""
    if after is not None and num_new_blocks is None:
        if not isinstance(after, Collection) or not len(after):
            raise ValueError(
                "Expected `after` to be a list of at least one block index. "
                f"Received: after={show(after)}"
            )
        return check_indices(after, num_blocks, "after")
    if after is not None or num_new_blocks is None:
        raise ValueError(
            "Expected either `num_new_blocks` or `after`. Received: "
            f"num_new_blocks={num_new_blocks}, after={after}"
        )
    count = check_int(num_new_blocks, "num_new_blocks", 1, num_blocks)
    return tuple(
        num_blocks * group // count - 1 for group in range(1, count + 1)
    )


def _check(backbone: keras.Model, block_dtype: str) -> None:
    """Refuse a model that cannot be expanded."""
    if (
        growths_of(backbone)
        or attention_slices(backbone)
        or getattr(backbone, "expansions", None)
    ):
        raise ValueError(
            "Expected a base model. Received: a model that is grown or "
            "expanded already."
        )
    if expanded_class(family_of(backbone)) is None:
        raise ValueError(
            "Expected a Gemma, Gemma 2 or Gemma 3 of KerasHub. "
            f"Received: {type(backbone).__name__}"
        )
    for layer in flatten_layers(backbone):
        lora = getattr(layer, "lora_enabled", False)
        if lora or layer.quantization_mode is not None:
            raise ValueError(
                "Expected float weights without LoRA. Received: "
                f"`{layer.path}`, which is "
                f"{'under LoRA' if lora else 'quantized'}"
            )
    if block_dtype not in ("float32", backbone.compute_dtype):
        raise ValueError(
            'Expected `block_dtype` to be "float32" or the dtype that the '
            f'model computes in, "{backbone.compute_dtype}". '
            f"Received: block_dtype={block_dtype!r}"
        )
