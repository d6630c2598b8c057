"""Hold out a part of the rows if there is only one file."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from keras_grow.tasks.example import Example


class Split(NamedTuple):
    """Examples in two parts that have none in common.

    Args:
        train: examples to train on, in their order.
        held_out: examples to choose or report by, in their order.
        duplicates: how many were in both and were removed from `held_out`.
    """

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    duplicates: int


def hold_out(
    examples: Sequence[Example], split: float, name: str = "the rows"
) -> Split:
    """Hold out a part of the examples, the same part every time.

    The choice depends on the examples' texts alone, not on their order, a seed
    or the machine. Examples that are also in the training part are removed from
    the held-out part; a warning counts them.

    Args:
        examples: the examples.
        split: share of the examples to hold out, above 0 and below 1.
        name: what they are, for messages.

    Returns:
        A tuple: the examples to train on, `train`, and those that are
        `held_out`, both in their order; and how many `duplicates` were removed
        from the latter.

    Raises:
        ValueError: if `split` is out of range, or a part would be empty.

    Example:
    ```python
    from keras_grow.tasks import Example, hold_out

    examples = [Example(f"{n} + 1 =", f" {n + 1}") for n in range(100)]
    train, held_out, _ = hold_out(examples, 0.1)
    len(train), len(held_out)  # (90, 10)
    ```
    """
    if isinstance(split, bool) or not isinstance(split, int | float):
        raise TypeError(
            f"Expected `split` to be a number. Received: split={split!r}"
        )
    if not 0 < split < 1:
        raise ValueError(
            "Expected `split` to be above 0 and below 1. "
            f"Received: split={split}"
        )
    count = round(len(examples) * split)
    keys = [key_of(example) for example in examples]
    held = drawn(keys, count)
    trained = {keys[i] for i in range(len(examples)) if i not in held}
    train = tuple(e for i, e in enumerate(examples) if i not in held)
    held_out = tuple(
        e
        for i, e in enumerate(examples)
        if i in held and keys[i] not in trained
    )
    if not train or not held_out:
        raise ValueError(
            f"Expected rows for both parts of split={split}. Received: "
            f"{len(examples)} rows of {name}, of which {len(train)} train and "
            f"{len(held_out)} others would be held out. Give more rows, or "
            "another split."
        )
    duplicates = count - len(held_out)
    if duplicates:
        warnings.warn(
            f"{duplicates} of {count} held-out rows of {name} are also among "
            f"the training rows and were removed; {len(held_out)} remain.",
            stacklevel=2,
        )
    return Split(train, held_out, duplicates)


def drawn(keys: Sequence[bytes], count: int) -> set[int]:
    """Indices of some of the rows, by `key_of` each: a draw without a seed."""
    seen: Counter[bytes] = Counter()
    order = []
    for key in keys:
        # Duplicates are drawn separately, each with its number.
        number = seen[key].to_bytes(8, "big")
        seen[key] += 1
        order.append(hashlib.sha256(key + number).digest())
    ranked = sorted(range(len(keys)), key=order.__getitem__)
    return set(ranked[:count])


def key_of(example: Example) -> bytes:
    """A digest of everything in an example."""
    texts = [
        example.prompt,
        example.response,
        *example.choices,
        *example.contexts,
        *(part for turn in example.turns for part in turn),
    ]
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()
