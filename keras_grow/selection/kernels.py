"""Where the kernels of a model's blocks can be read, and which are meant."""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.growth.families import Family


@dataclass(frozen=True)
class Kernels:
    """Where the kernels of each block can be read; none is read yet.

    `read` returns the kernel of a block index and a slot, an attribute of the
    block such as `"gating_ffw"`. `name` is what is read, for messages.
    """

    num_blocks: int
    family: Family
    read: Callable[[int, str], NDArray[Any]]
    name: str


def slots_of(family: Family, over: str | Sequence[str]) -> tuple[str, ...]:
    """The slots of a block that `over` stands for.

    `"mlp"` (up- and down-projections), `"up"` (up-projections alone), `"all"`
    (MLP and attention), or attributes of a block, such as `["gating_ffw",
    "attention.query_dense"]`.
    """
    mlp = family.slots
    named = {"mlp": mlp, "up": family.up, "all": (*family.attention, *mlp)}
    if over == "all" and not family.attention:
        raise ValueError(
            'Expected `over="all"` for a family whose row of data names its '
            f"attention. Received: over={over!r} for a "
            f"{family.backbone_cls.__name__}, whose row names none: its blocks "
            'differ. Rank with `over="mlp"`, or name attributes of a block.'
        )
    if isinstance(over, str):
        if over in named:
            return named[over]
    elif over and all(isinstance(slot, str) for slot in over):
        return tuple(over)
    raise ValueError(
        f"Expected `over` to be one of {sorted(named)} or a list of "
        f"attributes of a block, such as {[*mlp]}. Received: over={over!r}"
    )


def as_matrix(kernel: NDArray[Any], family: Family, slot: str) -> NDArray[Any]:
    """A kernel with its heads side by side: hidden dimension against the rest.

    It is the last axis of the projection out of attention. For the projections
    into it, Gemma has `(heads, hidden, size)`, the others have `(hidden, heads,
    size)`; there are fewer heads than hidden units.
    """
    if kernel.ndim == 2:
        return kernel
    out = slot in family.attention[-1:]
    axis = -1 if out else int(np.argmax(kernel.shape[:2]))
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)


def squared_norm(kernel: NDArray[Any]) -> float:
    """The squared Frobenius norm of a kernel, summed in float64."""
    flat = kernel.reshape(-1)
    # Buffered, so without a float64 copy of the kernel.
    return float(np.einsum("i,i->", flat, flat, dtype="float64"))


def checked_norm(norm: float) -> float:
    """A norm by which a score is divided, which is not 0."""
    if norm == 0.0:
        raise ValueError(
            "Expected kernels that are not all zero before training. "
            "Received: a norm of 0. Use `relative=False`."
        )
    return norm
