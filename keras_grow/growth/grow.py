"""`grow_model`: the one call that most users need."""

from typing import Any

import keras

from keras_grow.growth import apply
from keras_grow.growth import surgery
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import resolve_layers
from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.growth.grown import add_growth


def grow_model(
    model: keras.Model,
    factor: int = 2,
    layers: Any = None,
    strategy: str = "g_freeze",
    init: str = "copy",
    *,
    shares: str = "equal",
    slice_dtype: str = "float32",
    seed: int = 0,
) -> keras.Model:
    """Widen the MLPs of a KerasHub model; it computes the same function.

    The model is changed in place, like `enable_lora` does: the object keeps
    its tokenizer, preprocessor, `generate` and `fit`. Only the new slices
    train from now on. If the model was compiled it stays so, with a new
    optimizer of the same settings. Implements arXiv 2603.08647, section 3.

    For `factor=2` the logits are those of the base bit for bit in float32 and
    bfloat16, and in float16 but for weights so small that their half is
    subnormal. For other factors they differ by rounding, and so they do in
    TensorFlow's graphs where no norm follows the MLP (Gemma 1, PaliGemma). See
    `verify_preserved`.

    A grown model can be grown again: the earlier slices freeze and a further
    one is added beside them, again without a change of function.

    With `strategy="g_train"` and `shares="equal"`, as in the paper, every
    copy of a neuron receives the same gradient at every step, so the copies
    stay equal for ever: G-Train then equals fine-tuning the original
    up-projection. `shares="unequal"` breaks the tie, function preserved.

    If you pass a backbone that a task holds, compile the task anew afterwards,
    or what it had compiled before goes on running the base.

    Args:
        model: a KerasHub task (`GemmaCausalLM`, `Gemma3CausalLM`,
            `PaliGemmaCausalLM`) or its backbone.
        factor: int of 2 or more, the width of a grown MLP over the base's.
            Defaults to 2.
        layers: the blocks to grow: `None` for all, an int `n` for the last
            `n`, block indices, or `LayerScores`. Defaults to `None`.
        strategy: `"g_freeze"` trains the new slices of every up- and
            down-projection; `"g_train"` trains the up-projections whole and
            freezes the down-projection. Defaults to `"g_freeze"`.
        init: how the new slices start. `"copy"`: as the paper, copies that
            share the down-projection. `"zero_down"`: copied up, zero down.
            `"random_zero_down"`: up drawn from a normal distribution with the
            base kernel's standard deviation, zero down. `"zeros"`: up and
            down, which can learn nothing. All preserve the function.
        shares: `"equal"`, or `"unequal"` with `"g_train"`.
        slice_dtype: dtype of the new variables, `"float32"` or the dtype that
            the model computes in. Defaults to `"float32"`: optimizer moments
            take the dtype of their variable.
        seed: seed of `"random_zero_down"`.

    Returns:
        `model`.

    Raises:
        TypeError: if `model` is no KerasHub model.
        ValueError: if its family is unknown, or an argument is out of range,
            or its MLPs are unbuilt, quantised or under LoRA, or a model grown
            with `"g_train"` is involved in a second growth. The model is as
            it was.

    Example:

    ```python
    import keras
    import keras_hub
    import keras_grow

    lm = keras_hub.models.Gemma3CausalLM.from_preset("gemma3_1b")
    keras_grow.grow_model(lm, layers=10)
    lm.compile(optimizer=keras.optimizers.Adam(1e-4))
    lm.fit({"prompts": ["2 + 2 ="], "responses": [" 4"]})
    ```
    """
    backbone = backbone_of(model)
    family = family_of(backbone)
    if not backbone.built:
        raise ValueError(
            "Expected a built model. Received: "
            f"`{backbone.name}`, which has no weights yet. Call it once first."
        )
    config = GrowthConfig(
        factor=factor,
        layers=resolve_layers(layers, len(family.blocks_of(backbone))),
        strategy=strategy,
        init=init,
        shares=shares,
        slice_dtype=slice_dtype,
        seed=seed,
    )
    surgery.check_resettable(model)
    apply.warn_dead_point(config)
    add_growth(backbone, config)
    surgery.reset_compiled(model)
    return model
