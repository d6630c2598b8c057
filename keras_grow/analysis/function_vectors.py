"""Find the function vectors of a model."""

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.analysis.blocks import Blocks
from keras_grow.analysis.causal_heads import causal_indirect_effects
from keras_grow.analysis.causal_heads import mean_head_activations
from keras_grow.analysis.in_context import InContextTask
from keras_grow.analysis.prompts import task_prompts
from keras_grow.files import write_atomically
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import read_json
from keras_grow.files.checked_json import show

Head = tuple[int, int]


@dataclass(frozen=True, eq=False)
class FunctionVector:
    """The function vector of one task in one model, and its heads.

    Args:
        task: name of the task.
        heads: `(layer, head)` of the causal heads, the strongest first.
        effects: average indirect effect of every head, of shape `(layers,
            heads)`.
        vector: the sum of the mean contributions of `heads`, of shape
            `(hidden,)`.

    Raises:
        ValueError: if the heads are not distinct heads of `effects`, or a
            number is not finite.
    """

    task: str
    heads: tuple[Head, ...]
    effects: NDArray[Any]
    vector: NDArray[Any]

    def __post_init__(self) -> None:
        """Refuse what no model can have given."""
        known = set(np.ndindex(self.effects.shape))
        if (
            self.effects.ndim != 2
            or self.vector.ndim != 1
            or not 1 <= len(self.heads) == len(known & {*self.heads})
        ):
            raise ValueError(
                "Expected `effects` of shape (layers, heads), `vector` of "
                "shape (hidden,) and `heads` that are different heads of "
                f"`effects`. Received: effects of shape {self.effects.shape}, "
                f"vector of shape {self.vector.shape}, heads={self.heads}"
            )
        _check_finite(self.effects, "effects")
        _check_finite(self.vector, "vector")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, whole or not at all."""
        values = dataclasses.asdict(self)
        values["effects"] = self.effects.tolist()
        values["vector"] = self.vector.tolist()
        with write_atomically(path) as file:
            json.dump(values, file)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "FunctionVector":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file holds something else.
        """
        what = "a file written by `FunctionVector.save`"
        values = read_json(path, what)
        with in_file(path):
            fields = [field.name for field in dataclasses.fields(cls)]
            check_fields(values, what, fields)
            heads = []
            for head in check_list(values["heads"], "heads"):
                layer, index = check_list(head, "heads", most=2, least=2)
                pair = check_int(layer, "heads"), check_int(index, "heads")
                heads.append(pair)
            return cls(
                check_text(values["task"], "task"),
                tuple(heads),
                _array(values["effects"], "effects", "float64"),
                _array(values["vector"], "vector", "float32"),
            )


def _array(values: Any, name: str, dtype: str) -> NDArray[Any]:
    try:
        return np.array(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"Expected `{name}` to be lists of numbers. "
            f"Received: {name}={show(values)}"
        ) from error


def _check_finite(values: NDArray[Any], name: str) -> None:
    if not np.isfinite(values).all():
        raise ValueError(
            f"Expected `{name}` to be finite. Received: "
            f"{np.count_nonzero(~np.isfinite(values))} of {values.size} "
            "values that are not. The weights of the model diverged."
        )


def top_heads(effects: NDArray[Any], k: int = 10) -> tuple[Head, ...]:
    """The `k` heads of the largest average indirect effect.

    Args:
        effects: array of shape `(layers, heads)`, the mean of
            `causal_indirect_effects` over prompts (and tasks).
        k: how many. Defaults to 10, as in both papers.

    Returns:
        `(layer, head)` pairs, the strongest first; ties in order of depth.

    Raises:
        ValueError: if there are fewer heads, or an effect is not finite.
    """
    check_int(k, "k", 1, effects.size)
    _check_finite(effects, "effects")
    order = np.argsort(-effects.ravel(), kind="stable")[:k]
    layers, heads = np.unravel_index(order, effects.shape)
    return tuple(zip(layers.tolist(), heads.tolist(), strict=True))


def function_vector(
    contributions: NDArray[Any], heads: Sequence[Head]
) -> NDArray[Any]:
    """The sum of the mean contributions of some heads.

    Section 2.3 of arXiv 2310.15213.

    Args:
        contributions: array of shape `(layers, heads, hidden)`, see
            `HeadMeans`.
        heads: `(layer, head)` pairs.

    Returns:
        Array of shape `(hidden,)`.
    """
    layers, columns = np.transpose(list(heads))
    vector: NDArray[Any] = contributions[layers, columns].sum(axis=0)
    return vector


def find_function_vector(
    lm: Any,
    task: InContextTask,
    tokenizer: Any = None,
    prompts: int = 16,
    shots: int = 5,
    top: int = 10,
    seed: int = 0,
    verbose: int = 1,
) -> FunctionVector:
    """Find the function vector of a task in a model.

    Mean activations of the heads are taken over clean prompts, and each head is
    patched into corrupted prompts; the vector is the sum of what the strongest
    heads contribute (arXiv 2310.15213; section 4.5 and appendix B of arXiv
    2603.08647). The model is not altered. The same `seed` draws the same
    prompts for another model.

    Args:
        lm: a KerasHub causal language model of Gemma 1, 2 or 3, Llama, Mistral,
            Qwen 2.5 or Qwen 3, grown or not.
        task: the task, see `InContextTask.built_in`.
        tokenizer: a KerasHub tokenizer. Defaults to that of `lm`.
        prompts: number of prompts. Defaults to 16.
        shots: examples per prompt. Defaults to 5.
        top: number of causal heads. Defaults to 10.
        seed: seed of the prompts. Defaults to 0.
        verbose: 1 (default) for a progress bar, 0 for none.

    Returns:
        `FunctionVector`.

    Raises:
        ValueError: if `lm` is of another family or has no tokenizer, fewer
            heads than `top` or weights that diverged, or the task has too few
            pairs.

    Example:

    ```python
    from keras_grow.analysis import InContextTask, find_function_vector

    task = InContextTask.built_in("antonyms")
    base = find_function_vector(base_lm, task)
    tuned = find_function_vector(tuned_lm, task)
    ```
    """
    if tokenizer is None:
        tokenizer = getattr(
            getattr(lm, "preprocessor", None), "tokenizer", None
        )
    if tokenizer is None:
        raise ValueError(
            "Expected a model with a preprocessor, or `tokenizer`. "
            f"Received: {lm} without, and tokenizer=None"
        )
    check_int(top, "top", 1, math.prod(Blocks(lm).shape[:2]))
    drawn = task_prompts(task, tokenizer, prompts, shots, seed)
    means = mean_head_activations(lm, drawn.clean)
    bar = keras.utils.Progbar(prompts * means.activations[..., 0].size)
    average = causal_indirect_effects(
        lm,
        drawn.corrupted,
        means.activations,
        progress=(lambda done, _: bar.update(done)) if verbose else None,
    ).mean(axis=0)
    heads = top_heads(average, top)
    vector = function_vector(means.contributions, heads)
    return FunctionVector(task.name, heads, average, vector)
