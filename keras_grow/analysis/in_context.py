"""In-context tasks as pairs of words."""

import os
from dataclasses import dataclass
from importlib import resources
from typing import Any

from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import parse_json
from keras_grow.files.checked_json import read_json

_WHAT = 'a task, {"name": ..., "pairs": [[input, output], ...]}'


@dataclass(frozen=True)
class InContextTask:
    """A task that a few examples in the prompt can show.

    Args:
        name: a short name.
        pairs: `(input, output)` texts, at least two.

    Raises:
        ValueError: if there are not two pairs of non-empty texts.

    Example:

    ```python
    from keras_grow.analysis import InContextTask

    InContextTask("opposites", (("hot", "cold"), ("big", "small")))
    ```
    """

    name: str
    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        """Refuse pairs that cannot make a prompt."""
        if len(self.pairs) < 2 or not all(
            isinstance(pair, (tuple, list))
            and len(pair) == 2
            and all(isinstance(t, str) and t for t in pair)
            for pair in self.pairs
        ):
            raise ValueError(
                "Expected at least two pairs of an input and an output, texts "
                f"that are not empty. Received: task {self.name!r} with "
                f"pairs={self.pairs!r}"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "InContextTask":
        """Read a task from a JSON file.

        Args:
            path: a file that holds `{"name": ..., "pairs": [[input, output],
                ...]}`.

        Raises:
            ValueError: if it holds something else.
        """
        with in_file(path):
            return cls._read(read_json(path, _WHAT))

    @classmethod
    def built_in(cls, name: str) -> "InContextTask":
        """One of the tasks that come with the library.

        Args:
            name: one of `built_in_tasks()`.

        Raises:
            ValueError: if there is no such task.
        """
        if name not in built_in_tasks():
            raise ValueError(
                f"Expected one of {built_in_tasks()}. Received: name={name!r}. "
                "Use `InContextTask.load` for a file of your own."
            )
        file = _folder().joinpath(f"{name}.json")
        return cls._read(parse_json(file.read_text(encoding="utf-8"), _WHAT))

    @classmethod
    def _read(cls, values: Any) -> "InContextTask":
        check_fields(values, _WHAT, ("name", "pairs"))
        pairs = check_list(values["pairs"], "pairs")
        return cls(
            check_text(values["name"], "name"),
            tuple(tuple(check_list(pair, "pairs")) for pair in pairs),
        )


def built_in_tasks() -> list[str]:
    """The names of the tasks that come with the library."""
    names = [entry.name for entry in _folder().iterdir()]
    return sorted(n.removesuffix(".json") for n in names if n.endswith(".json"))


def _folder() -> Any:
    return resources.files("keras_grow.analysis").joinpath("in_context_tasks")
