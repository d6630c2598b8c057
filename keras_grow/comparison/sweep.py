"""The choice of a method's learning rate on examples held out of training."""

import json
import math
from pathlib import Path

from keras_grow.comparison import method_training
from keras_grow.comparison.events import Listener
from keras_grow.comparison.events import RateTried
from keras_grow.comparison.layout import run_name
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.scores import mean_loss
from keras_grow.evaluation import Scorer
from keras_grow.files import write_atomically
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import read_json
from keras_grow.tasks.example import Example
from keras_grow.tasks.holdout import drawn
from keras_grow.tasks.holdout import key_of


def split(
    examples: tuple[Example, ...], most: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Hold out a tenth of the examples: at least one, at most `most`.

    They are drawn from all of them, which may be sorted.
    """
    if len(examples) < 2:
        raise ValueError(
            "Expected two training rows or more, of which some are held "
            f"out to choose a learning rate. Received: {len(examples)} rows. "
            "Give one `learning_rate`."
        )
    count = max(1, min(most, len(examples) // 10))
    held = drawn([key_of(example) for example in examples], count)
    return (
        tuple(e for i, e in enumerate(examples) if i not in held),
        tuple(e for i, e in enumerate(examples) if i in held),
    )


def try_rate(
    folder: Path, method: Method, seed: int, rate: float, on_event: Listener
) -> None:
    """Train with one learning rate and write the loss that it ends with.

    The loss is that of the held-out examples, in nats per token.
    """
    plan = Plan.load(folder)
    train, held = split(plan.load_task().train, plan.examples)
    run = method_training.prepare(plan, method, rate, seed, train)
    if run.shortened:
        on_event(run.shortened)
    run.update(0, plan.sweep_updates or plan.updates, on_event)
    loss = mean_loss(Scorer(run.lm), held).score
    if not math.isfinite(loss):
        loss = math.inf
    path = rate_file(folder, method, seed, rate)
    path.parent.mkdir(exist_ok=True)
    with write_atomically(path) as written:
        json.dump({"held_out_loss": loss}, written)
    on_event(RateTried(rate, loss))


def rate_file(folder: Path, method: Method, seed: int, rate: float) -> Path:
    """Where `try_rate` writes the loss of a learning rate."""
    return folder / run_name(method, seed) / f"rate-{rate:g}.json"


def untried(folder: Path, method: Method, seed: int) -> list[float]:
    """The learning rates that a sweep has not tried yet."""
    rates = method.learning_rates
    if len(rates) == 1:
        return []
    return [r for r in rates if not rate_file(folder, method, seed, r).exists()]


def losses(folder: Path, method: Method, seed: int) -> dict[float, float]:
    """The held-out loss of every learning rate that was tried so far."""
    found = {}
    for rate in method.learning_rates:
        path = rate_file(folder, method, seed, rate)
        if path.exists():
            found[rate] = _read_loss(path)
    return found


def _read_loss(path: Path) -> float:
    """What `try_rate` wrote: a loss, infinite where the training diverged."""
    values = read_json(path, "the loss of a learning rate")
    with in_file(path):
        check_fields(values, "the loss of a learning rate", ("held_out_loss",))
        loss = values["held_out_loss"]
        if loss == math.inf:
            return math.inf
        return check_float(loss, "held_out_loss", 0.0)


def chosen_rate(folder: Path, method: Method, seed: int) -> float:
    """The learning rate of a run: the only one, or the best of the sweep.

    The sweep is made once, with the plan's first seed.
    """
    if len(method.learning_rates) == 1:
        return method.learning_rates[0]
    found = losses(folder, method, seed)
    return min(method.learning_rates, key=lambda r: found.get(r, math.inf))
