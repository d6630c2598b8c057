"""Growth switched off for a while, and the check that nothing was lost."""

from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from typing import NoReturn

import keras
import numpy as np
from keras import ops

from keras_grow.growth import surgery
from keras_grow.growth.grown import check_grown


@contextmanager
def growth_disabled(model: keras.Model) -> Iterator[keras.Model]:
    """Make a grown model exactly its base for the length of a `with` block.

    The slices are not computed, and LoRA kernels that train beside them are
    switched off too. Functions that Keras compiled (`predict`, `evaluate`,
    `generate`) are kept for either state, so each is compiled at most once a
    state, however often the growth is switched. A function that you compiled
    yourself, with `jax.jit` for instance, keeps the state in which it was
    traced. Not safe for two threads that use the model at once.

    Args:
        model: a grown KerasHub task or backbone, or a Keras model that holds
            one. Pass the model that you call inside the block.

    Yields:
        `model`.

    Raises:
        ValueError: if the model is not grown.
        RuntimeError: if the model is trained inside the block.

    Example:

    ```python
    with keras_grow.growth_disabled(lm):
        lm.generate("What the base says:")
    ```
    """
    switches = _switches(model)
    if not switches:
        check_grown(model)
    states = [getattr(layer, name) for layer, name in switches]
    parts = surgery.models_in(model)
    if not any(states):
        yield model
        return
    grown = [_Compiled.of(part) for part in parts]
    try:
        for layer, name in switches:
            setattr(layer, name, False)
        for part in parts:
            base = getattr(part, surgery.WITHOUT_GROWTH, None)
            (base or _Compiled()).install(part)
        with _training_refused(parts):
            yield model
    finally:
        for (layer, name), state in zip(switches, states, strict=True):
            setattr(layer, name, state)
        for part, functions in zip(parts, grown, strict=True):
            # Past the attribute tracking of Keras: functions are no state.
            object.__setattr__(part, surgery.WITHOUT_GROWTH, _Compiled.of(part))
            functions.install(part)


@dataclass(frozen=True)
class PreservationReport:
    """How far a grown model is from its base on some inputs.

    Attributes:
        exact: whether every output is equal bit for bit.
        max_abs_diff: largest absolute difference of an output.
        max_abs_output: largest absolute output of the base, for scale.
        same_argmax: share of positions with the same most likely token.
        outputs: number of values compared.
    """

    exact: bool
    max_abs_diff: float
    max_abs_output: float
    same_argmax: float
    outputs: int

    def __str__(self) -> str:
        """One line for people."""
        verdict = "bit for bit" if self.exact else "not bit for bit"
        return (
            f"{verdict} the base: largest difference {self.max_abs_diff:.3g} "
            f"on outputs up to {self.max_abs_output:.3g}, same top token at "
            f"{self.same_argmax:.2%} of positions, {self.outputs:,} values"
        )


def verify_preserved(model: keras.Model, inputs: Any) -> PreservationReport:
    """Compare a grown model with its base, growth on against growth off.

    Args:
        model: a grown KerasHub task or backbone.
        inputs: a batch as the model takes it (a dict of `token_ids` and
            `padding_mask`, int `[batch, length]`), or a list of strings for a
            task that has a preprocessor.

    Returns:
        The differences between the two, over logits (task) or hidden states
        (backbone), at every position that is not padding.

    Raises:
        ValueError: if the model is not grown, or if `inputs` are strings and
            the model has no preprocessor.

    Example:

    ```python
    keras_grow.grow_model(lm)
    print(keras_grow.verify_preserved(lm, ["The capital of France is"]))
    ```
    """
    if not is_switchable(model):
        check_grown(model)
    if not isinstance(inputs, dict):
        texts = [inputs] if isinstance(inputs, str) else list(inputs)
        preprocessor = getattr(model, "preprocessor", None)
        if preprocessor is None:
            raise ValueError(
                "Strings need a model with a preprocessor. Received: "
                f"inputs={texts[:1]}... and a {type(model).__name__} without "
                "one. Pass a dict of `token_ids` and `padding_mask`."
            )
        inputs = _without_padding(preprocessor.generate_preprocess(texts))
    inputs = {name: ops.convert_to_numpy(x) for name, x in inputs.items()}
    with growth_disabled(model):
        base = _outputs(model, inputs)
    grown = _outputs(model, inputs)
    difference = np.abs(grown - base)
    return PreservationReport(
        exact=bool(np.array_equal(grown, base)),
        max_abs_diff=float(difference.max()),
        max_abs_output=float(np.abs(base).max()),
        same_argmax=float(np.mean(grown.argmax(-1) == base.argmax(-1))),
        outputs=int(base.size),
    )


def _without_padding(inputs: dict[str, Any]) -> dict[str, Any]:
    """Texts cut at their longest, where a preprocessor fills to its length."""
    mask = ops.convert_to_numpy(inputs["padding_mask"]).astype(bool)
    length = int(mask.any(axis=0).sum())
    return {
        name: x[:, :length] if tuple(x.shape) == mask.shape else x
        for name, x in inputs.items()
    }


def _outputs(model: keras.Model, inputs: dict[str, Any]) -> np.ndarray:
    """Outputs of the compiled model at the positions that count."""
    # A function that TensorFlow has traced for several shapes may round in
    # another way than one of a single shape: compile for these inputs alone.
    kept = _Compiled.of(model)
    _Compiled().install(model)
    try:
        # `predict` of a task would run its preprocessor over token ids.
        outputs = keras.Model.predict_on_batch(model, inputs)
    finally:
        kept.install(model)
    outputs = np.asarray(ops.convert_to_numpy(ops.cast(outputs, "float32")))
    mask = inputs.get("padding_mask")
    return outputs if mask is None else outputs[mask.astype(bool)]


def is_switchable(model: keras.Model) -> bool:
    """Whether `growth_disabled` makes this model its base."""
    return bool(_switches(model))


def _switches(model: keras.Model) -> list[tuple[Any, str]]:
    """Every flag that turns growth, or LoRA beside it, on and off."""
    layers = model._flatten_layers()
    grown = [
        (layer, "growth_enabled")
        for layer in layers
        if hasattr(layer, "growth_enabled")
    ]
    lora = [
        (layer, "lora_enabled")
        for layer in layers
        if getattr(layer, "lora_enabled", False)
    ]
    return grown + lora if grown else []


class _Compiled:
    """The functions that Keras has compiled for one state of a model."""

    def __init__(self) -> None:
        self.functions: dict[str, Any] = {}
        self.compile_key: Any = None

    @classmethod
    def of(cls, model: keras.Model) -> "_Compiled":
        """What `model` holds now."""
        new = cls()
        new.functions = {
            name: getattr(model, name) for name in surgery.compiled_names(model)
        }
        new.compile_key = _compile_key(model)
        return new

    def install(self, model: keras.Model) -> None:
        """Give `model` these functions, unless it was compiled anew since."""
        current = self.compile_key is _compile_key(model)
        for name in surgery.compiled_names(model):
            function = self.functions.get(name) if current else None
            setattr(model, name, function)


def _compile_key(model: keras.Model) -> Any:
    """An object that every call of `compile` replaces."""
    return getattr(model, "_compile_metrics", None)


@contextmanager
def _training_refused(models: Sequence[keras.Model]) -> Iterator[None]:
    """Let `fit` fail before it starts."""
    # On JAX a step that fails takes the weights with it.
    name = "make_train_function"
    before = [vars(model).get(name) for model in models]
    for model in models:
        vars(model)[name] = _refuse_training
    try:
        yield
    finally:
        for model, method in zip(models, before, strict=True):
            if method is None:
                del vars(model)[name]
            else:
                vars(model)[name] = method


def _refuse_training(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError(
        "Expected training outside of `growth_disabled(model)`: with growth "
        "switched off no weight of the model trains. Leave the `with` block."
    )
