"""One run of one method: train, score, and resume if it was killed.

A run is a separate process, so that the memory of a comparison does not grow
with the number of methods, and the peak of each can be measured.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_grow.comparison import checkpoint
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.plan import run_name
from keras_grow.comparison.results import RESULTS_FILE
from keras_grow.comparison.results import append_result
from keras_grow.comparison.results import read_results
from keras_grow.comparison.scores import Scores
from keras_grow.comparison.shares import grown_alone
from keras_grow.comparison.shares import score_shares
from keras_grow.comparison.sweep import chosen_rate
from keras_grow.comparison.sweep import try_rate
from keras_grow.comparison.training import prepare
from keras_grow.evaluation.results import Result
from keras_grow.files import only_one
from keras_grow.files import write_atomically
from keras_grow.loading.load import load_causal_lm
from keras_grow.saving import load_growth
from keras_grow.saving import save_growth

CHECKPOINT_FILE = "checkpoint.safetensors"
WEIGHTS_FILE = "weights.safetensors"
GROWTH_FILE = "growth.grow.safetensors"
DONE_FILE = "done.json"


def run(folder: Path, method: Method, seed: int) -> None:
    """Train and score one method, from the start or from a checkpoint.

    Args:
        folder: folder of the comparison, which holds its plan.
        method: the method.
        seed: seed of the data order and of new weights.
    """
    own = folder / run_name(method, seed)
    own.mkdir(exist_ok=True)
    with _only_one(own):
        _run(folder, own, method, seed)


def _run(folder: Path, own: Path, method: Method, seed: int) -> None:
    plan = Plan.load(folder)
    task = plan.load_task()
    rate = chosen_rate(folder, method, plan.seeds[0])
    training = prepare(plan, method, rate, seed, task.train)
    lm = training.lm
    _check_room(own, checkpoint.checkpoint_bytes(lm))
    scores = Scores(lm, plan, task)
    saved = own / CHECKPOINT_FILE
    progress = checkpoint.Progress()
    known: dict[float, dict[str, Result]] = {}
    if saved.exists():
        progress = checkpoint.load_checkpoint(lm, saved)
        print(f"goes on after update {progress.step}", flush=True)
    else:
        # No method changes the function before it trains.
        start = _base(folder)
        if not start:
            start = known[0.0] = scores.run()
        _write(folder, method, seed, 0, start, {})
    for stop in [s for s in plan.steps if s > progress.step]:
        began = time.perf_counter()
        loss = training.update(progress.step, stop)
        elapsed = time.perf_counter() - began
        extra = {
            "training_loss": loss,
            "seconds_a_step": elapsed / (stop - progress.step),
        }
        known[1.0] = scores.run()
        _write(folder, method, seed, stop, known[1.0], extra)
        progress = checkpoint.Progress(
            stop,
            progress.seconds + elapsed,
            max(progress.peak_bytes, peak_bytes()),
        )
        checkpoint.save_checkpoint(lm, saved, progress)
    score_shares(folder, plan, method, seed, lm, scores, known)
    finish(own, lm, rate, progress, plan.keep_weights)
    saved.unlink()


def finish(
    own: Path,
    lm: keras.Model,
    rate: float,
    progress: checkpoint.Progress,
    keep: bool = True,
) -> None:
    """Save what a run learned, and say that it is done.

    Args:
        own: folder of the run.
        lm: the trained model.
        rate: the learning rate.
        progress: what the updates took.
        keep: whether to keep the weights. Defaults to `True`.
    """
    if keep:
        _keep(lm, own)
    trainable = sum(int(np.prod(w.shape)) for w in lm.trainable_variables)
    done = {
        "learning_rate": rate,
        "trainable_parameters": trainable,
        "seconds": progress.seconds,
        "peak_bytes": progress.peak_bytes,
    }
    with write_atomically(own / DONE_FILE) as written:
        json.dump(done, written)


def load_run(
    folder: str | os.PathLike[str], method: Method | None = None, seed: int = 0
) -> keras.Model:
    """Load the model that a finished run made.

    Args:
        folder: folder of the comparison.
        method: one of its methods; None for the base model.
        seed: one of its seeds.

    Returns:
        A KerasHub `CausalLM`; for a grown one the base is inside, see
        `growth_disabled`.

    Raises:
        FileNotFoundError: if the run is not finished or kept no weights.
    """
    folder = Path(folder)
    plan = Plan.load(folder)
    lm = load_causal_lm(plan.model, plan.dtype)
    if method is None:
        return lm
    own = folder / run_name(method, seed)
    if (own / GROWTH_FILE).exists():
        return load_growth(lm, own / GROWTH_FILE)
    lm = method.prepare(lm)
    checkpoint.load_weights(lm, own / WEIGHTS_FILE)
    return lm


def peak_bytes() -> int:
    """Peak resident memory of this process, in bytes; 0 on Windows."""
    try:
        import resource
    except ImportError:  # Python has it on Unix alone.
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _keep(lm: keras.Model, own: Path) -> None:
    """Save what was learned: a growth file where the base is untouched."""
    if grown_alone(lm):
        save_growth(lm, own / GROWTH_FILE)
    else:
        checkpoint.save_weights(lm, own / WEIGHTS_FILE)


@contextlib.contextmanager
def _only_one(own: Path) -> Iterator[None]:
    """Hold a run's folder for this process; drop what a killed one left.

    The same comparison may have been started twice.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(only_one(own / "lock"))
        except BlockingIOError as error:
            raise RuntimeError(
                "Expected a run that no other process is at. Received: "
                f"{os.fspath(own)!r}, which one trains already. Wait for it, "
                "or end it."
            ) from error
        for part in own.glob("*.part"):
            shutil.rmtree(part)
        yield


def _check_room(own: Path, needed: int) -> None:
    """Refuse to train where the checkpoint will not fit on the disk."""
    # A new checkpoint is written beside the old one; the old one is there.
    free = shutil.disk_usage(own).free
    held = sum(f.stat().st_size for f in own.glob(CHECKPOINT_FILE))
    if free + held < 2 * needed:
        raise OSError(
            f"Expected {2 * needed / 1e9:.1f} GB of room for checkpoints in "
            f"{os.fspath(own)!r}. Received: {free / 1e9:.1f} GB free. Free "
            "some, or choose another folder."
        )


def _base(folder: Path) -> dict[str, Result]:
    """The scores of the base model, if a run has taken them."""
    if not (folder / RESULTS_FILE).exists():
        return {}
    for row in read_results(folder):
        if row["step"] == 0:
            return {
                name: Result(values["metric"], row["scores"][name], values["n"])
                for name, values in row["details"].items()
            }
    return {}


def _write(
    folder: Path,
    method: Method,
    seed: int,
    step: int,
    results: dict[str, Result],
    extra: dict[str, float],
) -> None:
    """Append one row to the results, and say it."""
    append_result(folder, method, seed, step, results, extra)
    figures = "  ".join(f"{n} {r.score:.4g}" for n, r in results.items())
    print(f"update {step:>5}  {figures}", flush=True)


def _end_with_input() -> None:
    """End this process when the one that holds its standard input is gone."""
    sys.stdin.read()
    os._exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one method of a plan: what `compare` starts as a process."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_grow.command.one_run"
    )
    parser.add_argument("folder", type=Path, help="folder of the comparison")
    parser.add_argument("method", help="name of a method of the plan")
    parser.add_argument("seed", type=int, help="one of its seeds")
    parser.add_argument("--try-rate", type=float, help="one of a sweep")
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="end with whoever holds the standard input",
    )
    options = parser.parse_args(arguments)
    if options.until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()
    methods = {m.name: m for m in Plan.load(options.folder).methods}
    method = methods[options.method]
    if options.try_rate is None:
        run(options.folder, method, options.seed)
    else:
        try_rate(options.folder, method, options.seed, options.try_rate)
