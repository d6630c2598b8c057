"""Rows that a visitor uploads: checked, cut into two splits, kept apart."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_grow.files import write_atomically

MAX_BYTES = 5_000_000
MAX_ROWS = 20_000
MAX_CHARACTERS = 8_000
MIN_ROWS = 8
_HELD_OUT = 0.2
_MAX_HELD_OUT = 64


class Refused(Exception):
    """An upload that cannot be trained on, with the reason in words."""


@dataclass(frozen=True)
class Rows:
    """Checked rows.

    Attributes:
        examples: prompts and responses.
        skipped: a line for each row that was left out.
        longest: characters of the longest prompt and response together.
    """

    examples: list[dict[str, str]]
    skipped: tuple[str, ...]
    longest: int

    @property
    def held_out(self) -> int:
        """How many of the last rows are kept to measure the new skill."""
        return min(max(int(len(self.examples) * _HELD_OUT), 1), _MAX_HELD_OUT)

    def write(self, folder: Path) -> str:
        """Write both splits as JSONL.

        Args:
            folder: where they go.

        Returns:
            The task's name, as `keras_grow.tasks.load_task` takes it.
        """
        cut = len(self.examples) - self.held_out
        paths = []
        for name, rows in (
            ("train", self.examples[:cut]),
            ("validation", self.examples[cut:]),
        ):
            path = folder / f"{name}.jsonl"
            lines = [json.dumps(row, ensure_ascii=False) for row in rows]
            with write_atomically(path) as file:
                file.write("\n".join(lines) + "\n")
            paths.append(str(path))
        return ",".join(paths)


def check(file: str | None) -> Rows:
    """Read an upload.

    Args:
        file: where Gradio keeps it.

    Returns:
        Its rows as prompts and responses.

    Raises:
        Refused: if it is no JSONL or CSV of examples, or too much or too
            little.
    """
    if not file:
        raise Refused("Choose a file first.")
    path = Path(file)
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise Refused(
            f"A file that ends in .jsonl or .csv is needed, not {path.name}."
        )
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Refused(
            f"The file has {size / 1e6:.1f} MB. At most {MAX_BYTES / 1e6:.0f} "
            "MB are taken; cut it."
        )
    return _checked(_read(path), path.name)


def _read(path: Path) -> Any:
    from keras_grow.tasks import read_examples

    try:
        with warnings.catch_warnings():
            # Rows left out are counted on the page.
            warnings.simplefilter("ignore")
            return read_examples(path, on_error="skip")
    except (ValueError, OSError, RecursionError) as error:
        raise Refused(f"The file cannot be read. {error}") from error


def _checked(loaded: Any, name: str) -> Rows:
    if len(loaded.examples) > MAX_ROWS:
        raise Refused(
            f"{name} has {len(loaded.examples):,} rows. At most {MAX_ROWS:,} "
            "are taken; cut it."
        )
    examples, skipped, longest = [], list(loaded.skipped), 0
    for example in loaded.examples:
        characters = len(example.prompt) + len(example.response)
        if not example.response.strip():
            skipped.append(f"{example.source}: the response is empty")
        elif characters > MAX_CHARACTERS:
            skipped.append(
                f"{example.source}: {characters:,} characters, at most "
                f"{MAX_CHARACTERS:,} are taken"
            )
        else:
            longest = max(longest, characters)
            examples.append(
                {"prompt": example.prompt, "response": example.response}
            )
    if len(examples) < MIN_ROWS:
        first = f" The first: {skipped[0]}." if skipped else ""
        raise Refused(
            f"{name} has {len(examples)} usable rows; at least {MIN_ROWS} are "
            f"needed. {len(skipped)} rows were left out.{first}"
        )
    return Rows(examples, tuple(skipped), longest)
