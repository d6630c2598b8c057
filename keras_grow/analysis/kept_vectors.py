"""How much of its function vectors a tuned model keeps (Table 1)."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.analysis.function_vectors import FunctionVector
from keras_grow.analysis.function_vectors import Head


@dataclass(frozen=True)
class Kept:
    """How much of a function vector a tuned model has kept (Table 1).

    Args:
        model: name of the tuned model.
        task: name of the task.
        shared_heads: share of the base's causal heads that are also those of
            the tuned model, from 0 to 1.
        cosine: cosine similarity of the two vectors.
    """

    model: str
    task: str
    shared_heads: float
    cosine: float


def shared_heads(base: Sequence[Head], tuned: Sequence[Head]) -> float:
    """The share of the heads of `base` that are among those of `tuned`."""
    return len(set(base) & set(tuned)) / len(set(base))


def cosine_similarity(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Cosine of the angle between two vectors; 0 if one of them is zero."""
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0


def compare_with_base(
    base: Mapping[str, FunctionVector],
    tuned: Mapping[str, Mapping[str, FunctionVector]],
) -> list[Kept]:
    """Compare the function vectors of tuned models with the base's.

    Section 4.5 and Table 1 of arXiv 2603.08647.

    Args:
        base: the base's function vectors by task.
        tuned: the same by name of model, then task.

    Returns:
        One row for each model and task, in the order given: names of `model`
        and `task`; `shared_heads`, the share of the base's causal heads that
        are also those of the tuned model; `cosine`, the cosine similarity of
        the two vectors.

    Raises:
        ValueError: if a tuned model lacks a task of the base.

    Example:

    ```python
    from keras_grow.analysis import compare_with_base, kept_table

    rows = compare_with_base(base, {"SFT": sft, "G-Freeze": grown})
    print(kept_table(rows))
    ```
    """
    rows = []
    for model, vectors in tuned.items():
        if set(vectors) != set(base):
            raise ValueError(
                f"Expected the tasks {sorted(base)} for every model. "
                f"Received: {sorted(vectors)} for {model!r}"
            )
        for task, old in base.items():
            new = vectors[task]
            rows.append(
                Kept(
                    model,
                    task,
                    shared_heads(old.heads, new.heads),
                    cosine_similarity(old.vector, new.vector),
                )
            )
    return rows


def kept_table(rows: Sequence[Kept]) -> str:
    """Format rows as a Markdown table, with each model's mean over tasks."""
    lines = [
        "| model | task | shared causal heads | cosine similarity |",
        "|---|---|---|---|",
    ]
    for model in dict.fromkeys(row.model for row in rows):
        mine = [row for row in rows if row.model == model]
        mean = Kept(
            model,
            "mean",
            float(np.mean([row.shared_heads for row in mine])),
            float(np.mean([row.cosine for row in mine])),
        )
        lines += [
            f"| {r.model} | {r.task} | {r.shared_heads:.0%} | {r.cosine:.3f} |"
            for r in [*mine, mean]
        ]
    return "\n".join(lines)
