"""The rows that the runs were trained and measured on."""

import functools
from pathlib import Path
from typing import Any

from keras_grow.comparison.plan import Plan

from .runs import Runs

_PASSAGES = Path(__file__).parent / "passages.txt"
_ROUTED = 64  # Prompts that the router learns from.
_EXAMPLES = 3
OLD_SKILLS = (
    "The capital of France is",
    "Water boils when",
    "Once upon a time, there was a",
)


def passages() -> list[str]:
    """Short texts on anything, which stand for what a model knew before."""
    return _PASSAGES.read_text("utf-8").strip().split("\n\n")


def validation(folder: Path) -> list[Any]:
    """Rows of a run's validation split; empty where they cannot be read."""
    task = _task(folder)
    return list(task.validation or task.test or ()) if task else []


def prompts(folder: Path) -> list[str]:
    """Prompts that a run trained on."""
    task = _task(folder)
    return [row.prompt for row in (task.train if task else ())][:_ROUTED]


def examples(runs: Runs) -> list[str]:
    """Prompts to try: of the first run's own rows, and of old skills."""
    own = [row.prompt for row in validation(runs.given)] if runs.given else []
    return [*own[:_EXAMPLES], *OLD_SKILLS]


def ends_with_line(runs: Runs) -> bool:
    """Whether every answer of the first run's rows is one line."""
    found = validation(runs.given) if runs.given else []
    return bool(found) and not any("\n" in r.response.strip() for r in found)


@functools.lru_cache(maxsize=8)
def _task(folder: Path) -> Any:
    try:
        return Plan.load(folder).load_task()
    except Exception:  # Files may have gone; the page goes on without rows.
        return None
