"""`grow_model`: the one call that most users need."""

from collections.abc import Iterable

import keras

from keras_grow.growth import lora
from keras_grow.growth.build import without
from keras_grow.growth.classes import add_growth
from keras_grow.growth.classes import become_grown_task
from keras_grow.growth.classes import become_plain_task
from keras_grow.growth.classes import note_growths
from keras_grow.growth.classes import train_growth
from keras_grow.growth.compiled import check_resettable
from keras_grow.growth.compiled import reset_compiled
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import Init
from keras_grow.growth.config import Shares
from keras_grow.growth.config import SliceDtype
from keras_grow.growth.config import Strategy
from keras_grow.growth.config import resolve_layers
from keras_grow.growth.growable import warn_dead_point
from keras_grow.growth.grown_block import put
from keras_grow.growth.in_fit import check_not_in_fit
from keras_grow.growth.state import ModelState
from keras_grow.growth.state import check_only_mlps
from keras_grow.growth.state import grown_state
from keras_grow.growth.stored import check_total_width
from keras_grow.growth.switch import check_switched_on
from keras_grow.growth.trainable import TrainableFlags
from keras_grow.growth.undo import remember
from keras_grow.growth.undo import restore_trainable
from keras_grow.growth.undo import undone_on_errors


def grow_model(
    model: keras.Model,
    factor: int = 2,
    layers: int | Iterable[int] | None = None,
    strategy: Strategy = "g_freeze",
    init: Init = "copy",
    *,
    shares: Shares = "equal",
    slice_dtype: SliceDtype = "float32",
    seed: int = 0,
    name: str | None = None,
) -> keras.Model:
    """Widen the MLPs of a KerasHub model without changing its function.

    The model is changed in place, like `enable_lora` does: the object keeps
    its tokenizer, preprocessor, `generate` and `fit`. Only the new slices
    train from now on. If the model was compiled it stays so, with a new
    optimizer of the same settings. Implements arXiv 2603.08647, section 3.

    For `factor=2` the logits are those of the base bit for bit in float32 and
    bfloat16, and in float16 except for weights so small that half of them is
    subnormal. They differ by rounding for other factors, in TensorFlow graphs
    where no norm follows the MLP (Gemma 1, PaliGemma, Llama and others), in
    compiled Gemma 3n, and in Gemma 4, which multiplies kernels by hand, so that
    slices are merged at every step. On top of a growth at a scale other than 0
    and 1 they differ by rounding, 3.6e-7 to 1.2e-6 in float32 on tiny models.
    Over an int8 base in bfloat16 they differ by rounding, too, 0.031 on a tiny
    model. See `verify_preserved`.

    It cannot run in a callback of `fit`: to train in several phases, call `fit`
    several times and grow the model in between.

    A grown model can be grown again: the earlier slices freeze, and new ones
    are added on top of those that are active, again without changing the
    function.

    With `strategy="g_train"` and `shares="equal"`, as in the paper, every
    copy of a neuron receives the same gradient at every step, so the copies
    stay equal forever: G-Train then equals fine-tuning the original
    up-projection. `shares="unequal"` breaks the tie and still preserves the
    function.

    If you pass the backbone of a task, compile the task again afterwards.
    Otherwise its compiled functions still compute the base. A task that is made
    over a backbone that has grown does not know it: pass the task to
    `set_growths` before it trains, or `fit` does not see where the dial is, and
    setting `trainable` thaws a tied embedding.

    Args:
        model: a KerasHub task or its backbone, of Gemma 1 to 4, PaliGemma,
            Gemma 3n (dense blocks), Llama 2 and 3, Mistral, Qwen 2.5 to 3.5,
            Phi 3, SmolLM 3, GPT-2, OPT, GPT-NeoX, BLOOM or Falcon; of
            Qwen-MoE and Qwen 3.5-MoE the shared expert grows. For others see
            `register_family`.
        factor: int of 2 or more, the width of a grown MLP over the base's.
            Defaults to 2.
        layers: the blocks to grow: `None` for all, an int `n` for the last
            `n`, block indices, or `LayerScores`. Defaults to `None`.
        strategy: `"g_freeze"` trains the new slices of every up- and
            down-projection; `"g_freeze_up"`, which is not in the paper, those
            of the up-projections alone, and shares the base's
            down-projection: on the two tasks of `examples/results` it learned
            as much and forgot a fifth to a half as much; `"g_train"` trains
            the up-projections whole and freezes the down-projection.
            Defaults to `"g_freeze"`, as in the paper.
        init: how the new slices start. `"copy"`: as in the paper, copies that
            share the down-projection. `"zero_down"`: copied up, zero down.
            `"random_zero_down"`: up drawn from a normal distribution with the
            base kernel's standard deviation, zero down. `"zeros"`: both zero,
            with which a gated MLP learns nothing. All preserve the function.
        shares: `"equal"`, or `"unequal"` with `"g_train"`.
        slice_dtype: dtype of the new variables, `"float32"` or the dtype that
            the model computes in. Defaults to `"float32"`: optimizer moments
            take the dtype of their variable, and in bfloat16 Keras' Adam at its
            default `beta_2` changes nothing: `fit` refuses that.
        seed: seed of `"random_zero_down"`.
        name: what to call the growth, for `set_growths` and growth files.
            Defaults to `"growth_1"`, `"growth_2"` and so on.

    Returns:
        `model`.

    Raises:
        TypeError: if `model` is not a KerasHub model.
        ValueError: if its family is unknown, an argument is out of range, a
            `fit` is running on it, its MLPs are unbuilt, quantized or under
            LoRA, a `"g_train"` growth would lie above or below another, or a
            `"g_freeze_up"` growth would find no share of the base left. The
            model is as it was.

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
    state = ModelState.of(model)
    check_not_in_fit(model, "grow_model")
    backbone = state.backbone
    if not backbone.built:
        raise ValueError(
            "Expected a built model. Received: "
            f"`{backbone.name}`, which has no weights yet. Call it once first."
        )
    if name in state.names:
        raise ValueError(
            "Expected a name that no other growth has. Received: "
            f"name={name!r}, growths={state.names}"
        )
    scales = state.scales if state.growths else {}
    config = GrowthConfig(
        factor=factor,
        layers=resolve_layers(layers, len(state.blocks)),
        strategy=strategy,
        init=init,
        shares=shares,
        slice_dtype=slice_dtype,
        seed=seed,
        name=_free_name(state) if name is None else name,
        beneath=tuple((under, s) for under, s in scales.items() if s),
    )
    check_total_width((*state.growths, config))
    check_only_mlps(backbone)
    check_switched_on(backbone)
    check_resettable(model)
    warn_dead_point(config)
    before = TrainableFlags(backbone)
    with undone_on_errors(state):
        add_growth(state, config)
        remember(backbone, before)
        become_grown_task(model)
        reset_compiled(model)
    return model


def remove_growth(model: keras.Model, name: str | None = None) -> keras.Model:
    """Undo growths in place: the slices are dropped.

    Args:
        model: a grown KerasHub task or backbone.
        name: the growth to remove. Defaults to `None`, which removes them all
            and restores the base, including what was trainable before. LoRA
            that was enabled since stays, and alone trains.

    Returns:
        `model`.

    Raises:
        ValueError: if the model is not grown or inside `growth_disabled`, has
            no such growth, or another growth was trained on top of it. The
            model is as it was.

    Example:

    ```python
    keras_grow.grow_model(lm)
    keras_grow.remove_growth(lm)  # lm is the model that it was
    ```
    """
    state = grown_state(model)
    check_not_in_fit(model, "remove_growth")
    check_only_mlps(state.backbone)
    check_switched_on(state.backbone)
    check_resettable(model)
    gone = state.names if name is None else [state.check_name(name)]
    kept = [growth for growth in state.growths if growth.name not in gone]
    on_top = [g.name for g in kept if set(gone) & {n for n, _ in g.beneath}]
    if on_top:
        raise ValueError(
            "Expected a growth that no other was trained on top of. Received: "
            f"name={name!r}, with {on_top} on top of it. Remove those first."
        )
    with undone_on_errors(state):
        for index, mlp in state.mlps.items():
            block = state.blocks[index]
            with keras.name_scope(block.name):
                layers = {
                    slot: without(layer, gone) for slot, layer in mlp.items()
                }
            put(block, layers)
        note_growths(state, kept)
        if kept:
            lora.note(state.backbone)
            train_growth(state)
        else:
            lora.save_merged(state.backbone)
            restore_trainable(state.backbone)
            become_plain_task(model)
        reset_compiled(model)
    return model


def _free_name(state: ModelState) -> str:
    """`growth_1`, or the first number that is not taken."""
    number = len(state.growths) + 1
    while f"growth_{number}" in state.names:
        number += 1
    return f"growth_{number}"
