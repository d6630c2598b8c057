"""The paper's five tasks, read through tensorflow-datasets."""

import ast
import dataclasses
import os
import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from keras_grow.tasks import prompts
from keras_grow.tasks import rows
from keras_grow.tasks.example import Example
from keras_grow.tasks.example import Task


@dataclasses.dataclass(frozen=True)
class _Source:
    """A builder, its names for the three splits, and how a row is made."""

    builder: str
    splits: dict[str, str]
    make: Callable[[rows.Row], Example]
    metric: str


def _winogrande(row: rows.Row) -> Example:
    return prompts.winogrande(
        row["sentence"], row["option1"], row["option2"], row["label"]
    )


def _mtnt(row: rows.Row) -> Example:
    return prompts.translation(row["src"], row["dst"])


def _sci_tail(row: rows.Row) -> Example:
    return prompts.entailment(row["premise"], row["hypothesis"], row["label"])


def _qasc(row: rows.Row) -> Example:
    labels = list(row["choices"]["label"])
    if row["answerKey"] not in labels:
        raise ValueError(
            f"Expected `answerKey` to be one of {labels}. "
            f"Received: answerKey={row['answerKey']!r}"
        )
    gold = labels.index(row["answerKey"])
    return prompts.multiple_choice(
        row["question"], row["choices"]["text"], gold
    )


def _math_qa(row: rows.Row) -> Example:
    options = math_qa_options(row["options"])
    gold = ord(row["correct"][:1] or " ") - ord("a")
    if not 0 <= gold < len(options):
        raise ValueError(
            f"Expected `correct` to name one of {len(options)} options. "
            f"Received: correct={row['correct']!r}, options={row['options']!r}"
        )
    return prompts.multiple_choice(row["Problem"], options, gold)


# WinoGrande and QASC withhold the answers of their test splits.
_SOURCES = {
    "winogrande": _Source(
        "winogrande",
        {"train": "train_xl", "validation": "validation"},
        _winogrande,
        "multiple_choice",
    ),
    "mtnt": _Source(
        "mtnt/en-fr",
        {"train": "train", "validation": "valid", "test": "test"},
        _mtnt,
        "sacrebleu",
    ),
    "sci_tail": _Source(
        "sci_tail",
        {"train": "train", "validation": "validation", "test": "test"},
        _sci_tail,
        "exact_match",
    ),
    "qasc": _Source(
        "qasc",
        {"train": "train", "validation": "validation"},
        _qasc,
        "exact_match",
    ),
    "math_qa": _Source(
        "math_qa",
        {"train": "train", "validation": "validation", "test": "test"},
        _math_qa,
        "exact_match",
    ),
}
TFDS_TASKS = tuple(_SOURCES)


def tfds_task(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = ("train", "validation", "test"),
    limit: int | None = None,
    on_error: str = "skip",
) -> Task:
    """One of the paper's tasks through tensorflow-datasets.

    A `data_dir` that holds the prepared data set is read without a network;
    otherwise tensorflow-datasets downloads and prepares it there.

    Args:
        name: `"winogrande"` (with the XL training split), `"mtnt"` (en-fr),
            `"sci_tail"`, `"qasc"` or `"math_qa"`.
        data_dir: folder of prepared data sets. Defaults to `None`: that of
            tensorflow-datasets.
        splits: which of `"train"`, `"validation"`, `"test"` to read. The
            tests of WinoGrande and QASC have no answers and stay empty.
        limit: the largest number of rows of each split. Defaults to `None`:
            all.
        on_error: `"skip"` (the default) to leave malformed rows out, counted
            in a warning and in `Task.skipped`, or `"raise"`.

    Returns:
        The task.

    Raises:
        ValueError: if `name` or a split is unknown.
        MalformedRowError: with `on_error="raise"`, at a malformed row.
        ImportError: if tensorflow-datasets is not installed.

    Example:
    ```python
    from keras_grow.tasks.datasets import tfds_task

    task = tfds_task("sci_tail", splits=["validation"], limit=100)
    ```
    """
    if name not in _SOURCES:
        raise ValueError(
            f"Expected `name` to be one of {TFDS_TASKS}. "
            f"Received: name={name!r}"
        )
    unknown = set(splits) - {"train", "validation", "test"}
    if unknown:
        raise ValueError(
            'Expected `splits` to be of "train", "validation" and "test". '
            f"Received: splits={tuple(splits)}"
        )
    import tensorflow_datasets as tfds

    source = _SOURCES[name]
    builder = tfds.builder(source.builder, data_dir=data_dir)
    if not builder.is_prepared():
        builder.download_and_prepare()
    loaded: dict[str, Any] = {}
    skipped: list[str] = []
    for split in splits:
        if split not in source.splits:
            continue
        own_name = source.splits[split]
        result = rows.collect(
            _rows(builder, own_name, limit),
            source.make,
            on_error,
            f"{name}/{own_name}",
        )
        loaded[split] = result.examples
        skipped.extend(result.skipped)
    return Task(name, metric=source.metric, skipped=tuple(skipped), **loaded)


def math_qa_options(text: str) -> list[str]:
    """The options in MathQA's `options` field, without their letters.

    The field is `"a ) 38 , b ) 27.675 , ..."`, or the same as a Python list.
    """
    if text.startswith("["):
        try:
            parts = [str(part) for part in ast.literal_eval(text)]
        except (SyntaxError, ValueError) as error:
            raise ValueError(
                f"Expected a list of options. Received: options={text!r}"
            ) from error
        return [re.sub(r"^\s*[a-e] \)", "", part).strip() for part in parts]
    first, *options = re.split(r"\b[a-e] \)", text)
    if first.strip() or len(options) < 2:
        raise ValueError(
            "Expected options as in 'a ) 1 , b ) 2'. "
            f"Received: options={text!r}"
        )
    return [option.strip().rstrip(",").strip() for option in options]


def _rows(
    builder: Any, split: str, limit: int | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and row of each example of a split, as Python values."""
    import tensorflow_datasets as tfds

    size = builder.info.splits[split].num_examples
    end = size if limit is None else min(limit, size)
    dataset = builder.as_dataset(split=f"{split}[:{end}]", shuffle_files=False)
    for number, row in enumerate(tfds.as_numpy(dataset), start=1):
        yield f"{builder.name}/{split}, row {number}", _plain(row)


def _plain(value: Any) -> Any:
    """NumPy values and bytes as Python values and text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
