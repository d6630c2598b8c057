"""The training of a method: its model, its batches, its updates."""

import math
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.loading.load import load_causal_lm
from keras_grow.tasks import encode
from keras_grow.tasks import load_task
from keras_grow.tasks.example import Example
from keras_grow.training import L2SP
from keras_grow.training import add_anchor
from keras_grow.training import supervised_logits
from keras_grow.training.anchor import KLAnchor

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
    """Indices of examples, epoch after epoch, each in its own order.

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


class Training(NamedTuple):
    """A model that is ready to train, with its data.

    Attributes:
        lm: the prepared and compiled model.
        data: token ids and masks, labels and weights of all examples.
        callbacks: of `fit`.
        plan: the comparison.
        seed: seed of the data order.
    """

    lm: keras.Model
    data: tuple[dict[str, Any], Any, Any]
    callbacks: list[keras.callbacks.Callback]
    plan: Plan
    seed: int

    def update(self, start: int, stop: int) -> float:
        """Make updates number `start` to `stop` inside plain `fit`.

        Returns:
            The mean training loss; infinite where it is not a number.
        """
        batches = Batches(
            self.data, self.plan.batch_size, self.seed, start, stop
        )
        # The batches hold token ids already: past the task's preprocessor.
        history = keras.Model.fit(
            self.lm,
            batches,
            shuffle=False,
            verbose=0,
            callbacks=self.callbacks,
        )
        loss = float(history.history["loss"][-1])
        return loss if math.isfinite(loss) else math.inf


def prepare(
    plan: Plan,
    method: Method,
    learning_rate: float,
    seed: int,
    examples: tuple[Example, ...],
) -> Training:
    """Load the base model and make it ready to train by one method.

    Args:
        plan: the comparison.
        method: the method.
        learning_rate: of Adam.
        seed: seed of the data order and of new weights.
        examples: what to train on.
    """
    keras.utils.set_random_seed(seed)
    lm = method.prepare(load_causal_lm(plan.model, plan.dtype))
    lm.compile(
        optimizer=_adam(learning_rate, method.warmup, plan.updates),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    supervised_logits(lm)
    add_anchor(lm, _anchor(lm, plan, method, seed))
    data = encode(
        examples,
        lm.preprocessor.tokenizer,
        plan.sequence_length,
        plan.too_long,
    )
    if data.cut_prompts or data.left_out:
        print(
            f"{data.cut_prompts} examples lost tokens of their prompt, "
            f"{data.left_out} were left out: over {plan.sequence_length} "
            "tokens",
            flush=True,
        )
    callbacks: list[keras.callbacks.Callback] = []
    if method.decay_to_start:
        callbacks.append(L2SP(lm, method.decay_to_start))
    return Training(
        lm, (data.x, data.y, data.sample_weight), callbacks, plan, seed
    )


def _adam(rate: Any, warmup: int, updates: int) -> keras.optimizers.Optimizer:
    if warmup:
        # A cosine that does not decay: linear warm-up, then a constant.
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            decay_steps=updates,
            alpha=1.0,
            warmup_target=rate,
            warmup_steps=warmup,
        )
    return keras.optimizers.Adam(rate)


def _anchor(
    lm: keras.Model, plan: Plan, method: Method, seed: int
) -> KLAnchor | None:
    """The anchor of an anchored method: short passages of general text."""
    if not method.anchor or plan.anchor is None:
        return None
    options: dict[str, Any] = {
        "weight": method.anchor,
        "batch_size": 2,
        "seed": seed,
    }
    if plan.anchor == "base":
        return KLAnchor.from_model(lm, ANCHOR_PASSAGES, **options)
    task = load_task(plan.anchor, plan.data_dir)
    texts = [e.prompt for e in (task.train or task.validation or task.test)]
    return KLAnchor(texts[:ANCHOR_PASSAGES], **options)
