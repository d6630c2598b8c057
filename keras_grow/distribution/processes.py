"""Several processes that hold one model: who writes, and shared values.

On a pod or a cluster of nodes, no process holds all of a weight that is split
over other processes' devices. All processes must call these functions together.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


def any_process(flag: bool) -> bool:
    """Whether a flag is set in any of the processes."""
    if _count() == 1:
        return flag
    return bool(_sum(np.array([flag], "uint8")).any())


@contextlib.contextmanager
def one_writer() -> Iterator[bool]:
    """Whether this process writes; all processes leave the block together."""
    if _count() == 1:
        yield True
        return
    import jax
    from jax.experimental.multihost_utils import sync_global_devices

    try:
        yield jax.process_index() == 0
    finally:
        sync_global_devices("keras_grow.one_writer")


def is_spread(variable: Any) -> bool:
    """Whether only other processes hold some parts of a variable."""
    value = getattr(variable, "value", variable)
    if keras.config.backend() != "jax" or not hasattr(value, "sharding"):
        return False
    return not (value.is_fully_addressable or value.is_fully_replicated)


def row_blocks(variable: Any, most: int) -> Iterator[NDArray[Any]]:
    """The value of a variable that is spread, in blocks along the first axis.

    A process never holds more of it than a block of at most `most` bytes (a
    single row may have more), however large the variable is.
    """
    value = variable.value
    rows, *rest = value.shape
    row_bytes = value.dtype.itemsize * int(np.prod(rest, dtype="int64"))
    step = max(1, most // row_bytes)
    # A value that is on several devices is taken from one of them.
    own = [shard for shard in value.addressable_shards if not shard.replica_id]
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        block = np.zeros((stop - start, *rest), value.dtype)
        for shard in own:
            along, *across = shard.index
            first, last, _ = along.indices(rows)
            low, high = max(first, start), min(last, stop)
            if low < high:
                block[(slice(low - start, high - start), *across)] = np.asarray(
                    shard.data[low - first : high - first]
                )
        # Each byte comes from one process and is zero in the others.
        whole = _sum(block.reshape(-1).view("uint8"))
        yield whole.view(value.dtype).reshape(block.shape)


def whole_value(variable: Any) -> NDArray[Any]:
    """The value of a variable, wherever its parts are."""
    if is_spread(variable):
        return np.concatenate([*row_blocks(variable, 1 << 62)])
    return np.asarray(ops.convert_to_numpy(variable))


def _count() -> int:
    """How many processes hold the model."""
    if keras.config.backend() != "jax":
        return 1
    import jax

    return int(jax.process_count())


def _sum(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The sum of an array over the processes, in each of them."""
    import jax
    from jax.sharding import Mesh
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec

    # One device per process is enough.
    devices = {d.process_index: d for d in reversed(jax.devices())}
    mesh = Mesh(np.array([devices[i] for i in sorted(devices)]), ("process",))
    spread = NamedSharding(mesh, PartitionSpec("process"))
    summed = jax.jit(
        lambda x: x.sum(axis=0, dtype=x.dtype),
        out_shardings=NamedSharding(mesh, PartitionSpec()),
    )(jax.make_array_from_process_local_data(spread, values[None]))
    return np.asarray(summed.addressable_data(0))
