"""The training of a method: its model, its batches, its updates."""

import math
import time
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.comparison.events import Listener
from keras_grow.comparison.events import Shortened
from keras_grow.comparison.events import Updated
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.growth.text_inputs import text_inputs
from keras_grow.loading.load import load_causal_lm
from keras_grow.tasks import encode
from keras_grow.tasks import load_task
from keras_grow.tasks.encoding import Encoded
from keras_grow.tasks.example import Example
from keras_grow.tasks.example import text_of
from keras_grow.training.anchor import KLAnchor
from keras_grow.training.anchor_variants import replay
from keras_grow.training.anchor_variants import target_masked
from keras_grow.training.l2sp import L2SP
from keras_grow.training.length_buckets import LengthBuckets
from keras_grow.training.lengths import cheapest_lengths
from keras_grow.training.lengths import compiles_lengths
from keras_grow.training.lengths import example_order
from keras_grow.training.lengths import row_lengths
from keras_grow.training.supervised import add_anchor
from keras_grow.training.supervised import supervised_logits
from keras_grow.training.token_weights import mask_unlikely

ANCHOR_PASSAGES = 64
TASK_ROWS = 256  # whose predictions by the base are kept
# Least seconds between two reports of updates, because reading a loss waits for
# the GPU.
_BETWEEN = 0.25
# This many updates show which lengths the examples have.
_UPDATES_LOOKED_AT = 2000


class Watch(keras.callbacks.Callback):
    """Reports updates, and ends `fit` when asked to."""

    def __init__(
        self,
        on_event: Listener,
        should_stop: Callable[[], bool],
        start: int,
        stop: int,
    ) -> None:
        super().__init__()
        self.step = start
        self._on_event = on_event
        self._should_stop = should_stop
        self._stop = stop
        self._told = (time.monotonic(), 0, 0.0)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Tell the loss since the last time: Keras gives the running mean."""
        self.step += 1
        stopping = self._should_stop()
        before, count, total = self._told
        elapsed = time.monotonic() - before
        if elapsed > _BETWEEN or stopping or self.step == self._stop:
            now = batch + 1
            summed = float((logs or {})["loss"]) * now
            made = now - count
            self._told = (time.monotonic(), now, summed)
            self._on_event(
                Updated(self.step, (summed - total) / made, elapsed / made)
            )
        if stopping:
            self.model.stop_training = True


class Training(NamedTuple):
    """A model that is ready to train, with its data.

    `lengths` are what the rows of an update may be cut to.
    """

    lm: keras.Model
    data: tuple[dict[str, Any], Any, Any]
    lengths: tuple[int, ...]
    callbacks: list[keras.callbacks.Callback]
    plan: Plan
    seed: int
    shortened: Shortened | None

    def update(
        self,
        start: int,
        stop: int,
        on_event: Listener = lambda event: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> tuple[int, float]:
        """Make updates number `start` to `stop` inside plain `fit`.

        Returns the updates made in the end and their mean training loss, which
        is infinite where it is not a number.
        """
        watch = Watch(on_event, should_stop, start, stop)
        batches = LengthBuckets(
            *self.data,
            batch_size=self.plan.batch_size,
            lengths=self.lengths,
            seed=self.seed,
            group=self.plan.group_lengths,
            updates=(start, stop),
        )
        # The batches hold token ids already: no preprocessor is needed.
        history = keras.Model.fit(
            self.lm,
            batches,
            shuffle=False,
            verbose=0,
            callbacks=[*self.callbacks, watch],
        )
        loss = float(history.history["loss"][-1])
        return watch.step, loss if math.isfinite(loss) else math.inf


def prepare(
    plan: Plan,
    method: Method,
    learning_rate: float,
    seed: int,
    examples: tuple[Example, ...],
) -> Training:
    """Load the base model and make it ready to train by one method.

    The seed is that of the data order and of new weights.
    """
    keras.utils.set_random_seed(seed)
    lm = method.prepare(load_causal_lm(plan.model, plan.dtype))
    lm.compile(
        optimizer=_adam(learning_rate, method.warmup, plan.updates),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    supervised_logits(lm, token_weights=method.token_weights)
    data = encode(
        examples,
        lm.preprocessor.tokenizer,
        plan.sequence_length,
        plan.too_long,
    )
    add_anchor(lm, _anchor(lm, plan, method, seed, data))
    shortened = None
    if data.cut_prompts or data.left_out:
        shortened = Shortened(
            len(examples),
            data.cut_prompts,
            data.left_out,
            plan.sequence_length,
        )
    callbacks: list[keras.callbacks.Callback] = []
    if method.decay_to_start:
        callbacks.append(L2SP(lm, method.decay_to_start))
    weights = data.sample_weight
    if method.most_perplexity is not None:
        weights = mask_unlikely(
            lm, data.x, data.y, weights, method.most_perplexity
        )
    rows = (text_inputs(lm.backbone, data.x), data.y, weights)
    used = row_lengths(data.x["padding_mask"], weights)
    lengths = lengths_of_updates(used, data.y.shape[1], plan, seed)
    return Training(lm, rows, lengths, callbacks, plan, seed, shortened)


def lengths_of_updates(
    used: NDArray[np.int64], longest: int, plan: Plan, seed: int
) -> tuple[int, ...]:
    """The lengths that the updates of a run are cut to, ascending.

    Where each length is compiled, there are only as many as pay off within the
    updates of this plan; elsewhere all.
    """
    if not compiles_lengths():
        return tuple(range(1, longest + 1))
    size = plan.batch_size
    drawn = min(plan.updates, _UPDATES_LOOKED_AT) * size
    rows = used[example_order(len(used), seed, 0, drawn)]
    if not plan.group_lengths:
        rows = rows.reshape(-1, size).max(axis=1).repeat(size)
    found = cheapest_lengths(rows, multiple_of=8, longest=longest)
    # The whole row for an example that no update draws: it is not compiled.
    return tuple(sorted({*found, longest}))


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
    lm: keras.Model, plan: Plan, method: Method, seed: int, data: Encoded
) -> KLAnchor | None:
    """The anchor of an anchored method, or its substitute."""
    options: dict[str, Any] = {
        "weight": method.anchor or method.replay or method.task_anchor,
        "batch_size": 2,
        "seed": seed,
    }
    if method.task_anchor:
        rows = (data.x, data.y, data.sample_weight)
        return target_masked(
            lm,
            *keras.tree.map_structure(lambda a: a[:TASK_ROWS], rows),
            **options,
        )
    if not options["weight"] or plan.anchor_text is None:
        return None
    anchor = _text_anchor(lm, plan.anchor_text, plan.data_dir, options)
    return replay(lm, anchor) if method.replay else anchor


def _text_anchor(
    lm: keras.Model, text: str, data_dir: str | None, options: dict[str, Any]
) -> KLAnchor:
    """An anchor on short passages of general text."""
    if text == "base":
        return KLAnchor.from_model(lm, ANCHOR_PASSAGES, **options)
    task = load_task(text, data_dir)
    rows = task.train or task.validation or task.test
    texts = [text_of(example) for example in rows[:ANCHOR_PASSAGES]]
    return KLAnchor(texts, **options)
