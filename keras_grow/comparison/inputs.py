"""The files that a comparison reads, which must not change under it."""

import hashlib
import json
import os
from pathlib import Path

from keras_grow.comparison.layout import INPUTS_FILE
from keras_grow.comparison.layout import RESULTS_FILE
from keras_grow.comparison.plan import Plan
from keras_grow.files import write_atomically
from keras_grow.files.checked_json import read_json
from keras_grow.tasks.sources import is_file_name


def check_inputs(plan: Plan, folder: Path) -> None:
    """Note what is in the files of a plan, or refuse files that changed.

    Scores of the base and of earlier runs are of the files as they were. Of a
    model, that is a file or a folder of the user's.
    """
    found = _digests(plan)
    path = folder / INPUTS_FILE
    if is_begun(folder) and path.exists():
        known = read_json(path, "the files of a comparison")
        changed = [
            name
            for name, digest in found.items()
            if isinstance(known, dict) and known.get(name, digest) != digest
        ]
        if changed:
            raise ValueError(
                "Expected the files with which this comparison was begun, of "
                f"which it has scores. Received: {changed[0]!r}, which has "
                "changed since. Put the old file back, or choose another "
                f"folder than {os.fspath(folder)!r}."
            )
    with write_atomically(path) as written:
        json.dump(found, written, indent=2)


def is_begun(folder: Path) -> bool:
    """Whether a comparison has scored something."""
    tried = folder.glob("*-seed*/rate-*.json")
    return (folder / RESULTS_FILE).exists() or any(tried)


def _digests(plan: Plan) -> dict[str, str]:
    """A digest of each file that the plan names, by its name there."""
    paths = [name for name in plan.retention if name.endswith(".txt")]
    for name in (plan.task, plan.anchor_text or "", *plan.retention):
        parts = name.removeprefix("perplexity:").split(",")
        paths += filter(is_file_name, map(str.strip, parts))
    found = {}
    for path in dict.fromkeys(paths):
        found[path] = _digest(Path(path))
    model = Path(plan.model)
    own = [model] if model.is_file() else sorted(model.rglob("*"))
    found |= {str(path): _digest(path) for path in own if path.is_file()}
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
