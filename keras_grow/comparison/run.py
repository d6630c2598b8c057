"""One run of one method: train, score, and go on where it was killed.

A run is a process of its own, so that the memory of a comparison does not
grow with what it has compared, and the peak of each method can be read.
"""

import argparse
import json
import math
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_grow.comparison import checkpoint
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.plan import run_name
from keras_grow.comparison.report import RESULTS_FILE
from keras_grow.comparison.report import read_results
from keras_grow.comparison.scores import Scores
from keras_grow.evaluation.results import Result
from keras_grow.growth.grown import newest_slices
from keras_grow.models.load import load_model
from keras_grow.saving import load_growth
from keras_grow.saving import save_growth
from keras_grow.tasks import encode
from keras_grow.tasks import load_task
from keras_grow.training import response_only
from keras_grow.training.anchor import Anchor

CHECKPOINT_FILE = "checkpoint.safetensors"
WEIGHTS_FILE = "weights.safetensors"
GROWTH_FILE = "growth.grow.safetensors"
DONE_FILE = "done.json"
ANCHOR_PASSAGES = 64


class Batches(keras.utils.PyDataset):
    """The batches of some updates, in an order that the seed alone decides."""

    def __init__(
        self,
        data: tuple[dict[str, Any], Any, Any],
        batch_size: int,
        seed: int,
        start: int,
        stop: int,
    ) -> None:
        super().__init__()
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Any, Any]:
        """Batch number `index` of these updates."""
        x, y, weights = self.data
        first = (self.start + index) * self.batch_size
        rows = example_order(len(y), self.seed, first, self.batch_size)
        return {k: v[rows] for k, v in x.items()}, y[rows], weights[rows]


def example_order(count: int, seed: int, first: int, length: int) -> Any:
    """Indices of examples, epoch after epoch, each in an order of its own.

    Args:
        count: examples of the data set.
        seed: seed of the order.
        first: position in the endless sequence.
        length: indices wanted.

    Returns:
        Int array `[length]`.
    """
    epochs = range(first // count, (first + length - 1) // count + 1)
    order = np.concatenate(
        [np.random.default_rng([seed, e]).permutation(count) for e in epochs]
    )
    offset = first - epochs[0] * count
    return order[offset : offset + length]


def run(folder: Path, method: Method, seed: int) -> None:
    """Train and score one method, from the start or from a checkpoint.

    Args:
        folder: folder of the comparison, which holds its plan.
        method: the method.
        seed: seed of the data order and of new weights.
    """
    plan = Plan.load(folder)
    own = folder / run_name(method, seed)
    own.mkdir(exist_ok=True)
    keras.utils.set_random_seed(seed)
    task = load_task(plan.task, plan.data_dir)
    lm = method.prepare(load_model(plan.model, plan.dtype))
    lm.compile(
        optimizer=_adam(method, plan.updates),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    response_only(lm, anchor=_anchor(plan, method, seed))
    data = tuple(
        encode(
            task.train,
            lm.preprocessor.tokenizer,
            plan.sequence_length,
            too_long="cut_prompt" if plan.sequence_length else "raise",
        )
    )
    scores = Scores(lm, plan, task)
    saved = own / CHECKPOINT_FILE
    step, seconds = 0, 0.0
    if saved.exists():
        step, seconds = checkpoint.load_checkpoint(lm, saved)
        print(f"goes on after update {step}", flush=True)
    else:
        # No method changes the function before it trains.
        _write(folder, method, seed, 0, _base(folder) or scores.run(), {})
    for stop in [s for s in plan.steps if s > step]:
        batches = Batches(data, plan.batch_size, seed, step, stop)
        start = time.perf_counter()
        loss = _fit(lm, batches)
        elapsed = time.perf_counter() - start
        seconds, step = seconds + elapsed, stop
        extra = {
            "training_loss": loss,
            "seconds_a_step": elapsed / len(batches),
        }
        _write(folder, method, seed, step, scores.run(), extra)
        checkpoint.save_checkpoint(lm, saved, step, seconds)
    if plan.keep_weights:
        _keep(lm, own)
    trainable = sum(int(np.prod(w.shape)) for w in lm.trainable_variables)
    done = {
        "trainable_parameters": trainable,
        "seconds_a_step": seconds / plan.updates,
        "peak_bytes": peak_bytes(),
    }
    temporary = own / "done.part"
    temporary.write_text(json.dumps(done), "utf-8")
    temporary.replace(own / DONE_FILE)
    saved.unlink()


def load_run(
    folder: Path, method: Method | None = None, seed: int = 0
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
    plan = Plan.load(folder)
    lm = load_model(plan.model, plan.dtype)
    if method is None:
        return lm
    own = folder / run_name(method, seed)
    if (own / GROWTH_FILE).exists():
        return load_growth(lm, own / GROWTH_FILE)
    lm = method.prepare(lm)
    checkpoint.load_weights(lm, own / WEIGHTS_FILE)
    return lm


def peak_bytes() -> int:
    """Peak resident memory of this process, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _keep(lm: keras.Model, own: Path) -> None:
    """Save what was learnt: a growth file where the base is untouched."""
    slices = {id(w) for new in newest_slices(lm) for w in new.weights}
    if slices and slices >= {
        id(w) for w in lm.trainable_variables if "lora_kernel" not in w.name
    }:
        save_growth(lm, own / GROWTH_FILE)
    else:
        checkpoint.save_weights(lm, own / WEIGHTS_FILE)


def _adam(method: Method, updates: int) -> keras.optimizers.Optimizer:
    rate: Any = method.learning_rate
    if method.warmup:
        # A cosine that does not decay: linear warm-up, then a constant.
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=updates,
            alpha=1.0,
            warmup_target=method.learning_rate,
            warmup_steps=method.warmup,
        )
    return keras.optimizers.Adam(rate)


def _anchor(plan: Plan, method: Method, seed: int) -> Anchor | None:
    """The anchor of an anchored method: short passages of general text."""
    if not method.anchor or plan.anchor is None:
        return None
    task = load_task(plan.anchor, plan.data_dir)
    texts = [e.prompt for e in (task.train or task.validation or task.test)]
    return Anchor(
        texts[:ANCHOR_PASSAGES], weight=method.anchor, batch_size=2, seed=seed
    )


def _fit(lm: keras.Model, batches: Batches) -> float:
    """Run the updates inside plain `fit`; the mean training loss."""
    # The batches hold token ids already: past the preprocessor of the task.
    history = keras.Model.fit(lm, batches, shuffle=False, verbose=0)
    loss = float(history.history["loss"][-1])
    return loss if math.isfinite(loss) else math.inf


def _base(folder: Path) -> dict[str, Result]:
    """The scores of the base model, if a run has taken them."""
    if not (folder / RESULTS_FILE).exists():
        return {}
    details = next(
        row["details"] for row in read_results(folder) if row["step"] == 0
    )
    return {
        name: Result(values["metric"], values["score"], values["n"])
        for name, values in details.items()
    }


def _write(
    folder: Path,
    method: Method,
    seed: int,
    step: int,
    results: dict[str, Result],
    extra: dict[str, float],
) -> None:
    """Append one row to the results, and say it."""
    scores = {name: result.score for name, result in results.items()}
    row = {
        "method": method.name,
        "seed": seed,
        "step": step,
        "scores": scores,
        **extra,
        "details": {name: r.to_dict() for name, r in results.items()},
    }
    with (folder / RESULTS_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    figures = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
    print(f"update {step:>5}  {figures}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one method of a plan: what `compare` starts as a process."""
    parser = argparse.ArgumentParser(prog="python -m keras_grow.comparison")
    parser.add_argument("folder", type=Path)
    parser.add_argument("method", help="name of a method of the plan")
    parser.add_argument("seed", type=int)
    options = parser.parse_args(arguments)
    methods = {m.name: m for m in Plan.load(options.folder).methods}
    run(options.folder, methods[options.method], options.seed)
