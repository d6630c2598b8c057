"""The check that a growth changed nothing."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_grow.growth.compiled import compiled_anew
from keras_grow.growth.families import backbone_of
from keras_grow.growth.state import grown_state
from keras_grow.growth.switch import growth_disabled
from keras_grow.growth.switch import is_switchable


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


def verify_preserved(
    model: keras.Model, inputs: Mapping[str, ArrayLike] | Sequence[str] | str
) -> PreservationReport:
    """Compare a grown model with its base: growth on, and growth off.

    Args:
        model: a grown KerasHub task or backbone.
        inputs: a batch as the model takes it (a dict of `token_ids` and
            `padding_mask`, int `[batch, length]`), or a list of strings for a
            task that has a preprocessor.

    Returns:
        The differences between the two, over logits or embeddings (task) or
        hidden states (backbone), at every position that is not padding. It
        prints as a line for people and has `exact` (whether every output is
        equal bit for bit), `max_abs_diff`, `max_abs_output` (the largest
        output of the base, for scale), `same_argmax` (the share of positions
        with the same most likely token) and `outputs` (how many values were
        compared).

    Raises:
        ValueError: if the model is not grown, `inputs` are strings and the
            model has no preprocessor, or there is nothing but padding in them.

    Example:

    ```python
    keras_grow.grow_model(lm)
    print(keras_grow.verify_preserved(lm, ["The capital of France is"]))
    ```
    """
    if not is_switchable(model):
        grown_state(model)
    if not isinstance(inputs, dict):
        texts = [inputs] if isinstance(inputs, str) else list(inputs)
        if not texts:
            raise ValueError("Expected at least one text. Received: inputs=[]")
        preprocessor = getattr(model, "preprocessor", None)
        if preprocessor is None:
            raise ValueError(
                "Strings need a model with a preprocessor. Received: "
                f"inputs={texts[:1]}... and a {type(model).__name__} without "
                "one. Pass a dict of `token_ids` and `padding_mask`."
            )
        inputs = _without_padding(preprocessor.generate_preprocess(texts))
    arrays = {name: ops.convert_to_numpy(x) for name, x in inputs.items()}
    mask = arrays.get("padding_mask")
    if mask is not None and not mask.any():
        raise ValueError(
            "Expected inputs with a position that is not padding. Received: a "
            f"`padding_mask` of shape {mask.shape} that is False everywhere."
        )
    with growth_disabled(model), _as_before(model):
        base = _outputs(model, arrays)
    grown = _outputs(model, arrays)
    pairs = list(zip(grown, base, strict=True))
    same = [np.ravel(a.argmax(-1) == b.argmax(-1)) for a, b in pairs]
    return PreservationReport(
        exact=all(np.array_equal(a, b) for a, b in pairs),
        max_abs_diff=max(float(np.abs(a - b).max()) for a, b in pairs),
        max_abs_output=max(float(np.abs(b).max()) for b in base),
        same_argmax=float(np.mean(np.concatenate(same))),
        outputs=sum(b.size for b in base),
    )


@contextmanager
def _as_before(model: keras.Model) -> Iterator[None]:
    """Give a backbone the class that it had before it grew."""
    backbone = backbone_of(model)
    grown = type(backbone)
    backbone.__class__ = getattr(grown, "plain_class", grown)
    try:
        yield
    finally:
        backbone.__class__ = grown


def _without_padding(inputs: dict[str, Any]) -> dict[str, Any]:
    """Cut texts, which a preprocessor pads, to the longest of them."""
    mask = ops.convert_to_numpy(inputs["padding_mask"]).astype(bool)
    length = int(mask.any(axis=0).sum())
    return {
        name: x[:, :length] if tuple(x.shape) == mask.shape else x
        for name, x in inputs.items()
    }


def _outputs(model: keras.Model, inputs: dict[str, Any]) -> list[np.ndarray]:
    """Outputs of the compiled model at the positions that count."""
    # A function that TensorFlow has traced for several shapes may round
    # differently from one of a single shape: compile for these inputs alone.
    with compiled_anew(model):
        # `predict` of a task would run its preprocessor over token ids.
        outputs = keras.Model.predict_on_batch(model, inputs)
    mask = inputs.get("padding_mask")
    found = []
    for output in keras.tree.flatten(outputs):
        array = np.asarray(ops.convert_to_numpy(ops.cast(output, "float32")))
        # The embedding of a text has no positions.
        if mask is not None and array.ndim > 2:
            array = array[mask.astype(bool)]
        found.append(array)
    return found
