"""Training in `peers.py`: an epoch, in turns with that of another process."""

import math
import time
from functools import partial
from pathlib import Path

import peers_torch
from machine import await_turn
from machine import forget_peak
from machine import resident_gb

BLOCKS = 10
# JAX and TensorFlow compile four lengths.
LENGTHS = 4


class Turns:
    """Seconds of each part of an epoch, begun when the other process waits."""

    def __init__(self, turns):
        self.turns = turns
        self.wall, self.processor = [], []

    def begin(self, updates):
        """All is loaded and compiled: wait, then start the clocks."""
        if updates < self.turns:
            raise ValueError(
                "Expected at most a turn for each update. Received: "
                f"{updates} updates and --turns {self.turns}"
            )
        self.done = 0
        self.ends = {
            updates * turn // self.turns for turn in range(1, self.turns + 1)
        }
        forget_peak()
        self._start()

    def updated(self):
        """After each update: where a part ends, wait for the next turn."""
        self.done += 1
        if self.done in self.ends:
            self.wall.append(time.perf_counter() - self.began[0])
            self.processor.append(time.process_time() - self.began[1])
            if len(self.wall) < self.turns:
                self._start()

    def _start(self):
        await_turn()
        self.began = time.perf_counter(), time.process_time()


def folder_of(arguments):
    """Where the model lies as transformers reads it."""
    return Path(arguments.folder) / arguments.model.replace("/", "_")


def grow(side, lm):
    """Grow all blocks or the last ten."""
    from methods import strategy_of

    import keras_grow

    blocks = None if "_all" in side else BLOCKS
    keras_grow.grow_model(lm, layers=blocks, strategy=strategy_of(side))


def train(side, arguments):
    """Seconds and products of an epoch, tokens a second, peak, loss."""
    import keras

    import keras_grow
    from keras_grow.growth.costs import ModelShape
    from keras_grow.growth.families import family_of
    from keras_grow.tasks import encode
    from keras_grow.tasks import load_task

    # Not later: TensorFlow would forget the tokenizer.
    keras.utils.set_random_seed(0)
    examples = load_task(arguments.data).train[: arguments.rows]
    lm = keras_grow.load_causal_lm(arguments.model)
    encoded = encode(examples, lm.preprocessor.tokenizer, multiple_of=8)
    lengths = encoded.x["padding_mask"].sum(axis=1)
    useful = int(lengths.sum())
    shape = ModelShape.of(lm.backbone, family_of(lm.backbone))
    growths = ()
    turns = Turns(arguments.turns)
    if side in ("transformers_sft", "peft_lora8"):
        del lm
        ids, targets = encoded.x["token_ids"], encoded.y
        rows = [
            # transformers moves the targets itself.
            {
                "input_ids": [*ids[i, :n].tolist(), int(targets[i, n - 1])],
                "labels": [-100, *_targets(encoded, i, n)],
            }
            for i, n in enumerate(lengths)
        ]
        done = peers_torch.train(
            side, folder_of(arguments), rows, arguments.batch, turns
        )
    else:
        done = _fit(side, lm, examples, encoded, arguments, turns)
        growths = [each.config for each in keras_grow.growths(lm).values()]
    positions = done.pop("positions")
    supervised = int((encoded.sample_weight > 0).sum())
    seconds = sum(turns.wall)
    return {
        "epoch_s": seconds,
        "turns_s": turns.wall,
        "processor_s": sum(turns.processor),
        "tokens_a_s": useful / seconds,
        "padding": 1 - useful / positions,
        "products_t": products(shape, side, growths, positions, supervised),
        "useful_tokens": useful,
        "updates": turns.done,
        "peak_gb": resident_gb(peak=True),
        **done,
    }


def products(shape, side, growths, positions, supervised):
    """Tera-operations of an epoch's matrix products, by the model's shape.

    Growth computes logits for supervised positions, the others for all. LoRA
    needs no gradient of the frozen weights; its own products are left out, as
    are the scores of attention. `LowerStates` leaves out the blocks below
    what trains.
    """
    from keras_grow.growth.costs import forward_flops
    from keras_grow.growth.costs import growth_step_flops

    if growths:
        share = supervised / positions
        each = growth_step_flops(shape, growths, 0, share)
        if side.endswith("_top"):
            blocks = forward_flops(shape, (), 0, supervised=0.0)
            each -= blocks * min(growths[-1].layers) / shape.num_blocks
    else:
        passes = 2 if "lora" in side else 3
        each = passes * forward_flops(shape, (), 0)
    return each * positions / 1e12


def _targets(encoded, row, length):
    """The next tokens of a row, -100 where there is no loss."""
    weights = encoded.sample_weight[row, :length]
    return [
        int(target) if weight else -100
        for target, weight in zip(encoded.y[row, :length], weights, strict=True)
    ]


def _fit(side, lm, examples, encoded, arguments, turns):
    """Train with Keras: KerasHub's own path, or growth."""
    import keras

    if side == "kerashub_lora8":
        lm.backbone.enable_lora(8)
    elif side.startswith("grow"):
        grow(side, lm)
    trained = lm
    if side.startswith("kerashub"):
        # One length for all rows: the shortest that cuts none.
        lm.preprocessor.sequence_length = length = encoded.y.shape[1]
        positions = len(examples) * length
        updates = math.ceil(len(examples) / arguments.batch)
        options = {"batch_size": arguments.batch, "verbose": 0}
        fit = lm.fit
        data, warm = [
            {
                "prompts": [row.prompt for row in rows],
                "responses": [row.response for row in rows],
            }
            for rows in (examples, examples[: arguments.batch])
        ]
    else:
        trained, batches = _bucketed(side, lm, encoded, arguments)
        positions = encoded.x["padding_mask"].sum() / (
            1 - batches.padding_share
        )
        updates, options, data = len(batches), {"verbose": 0}, batches
        # Tokens already: nothing for a preprocessor.
        fit = partial(keras.Model.fit, trained)
        every = [batches.batch(index) for index in range(updates)]
        by_length = {batch[1].shape: batch for batch in every}
        warm = (b for b in [*by_length.values()][:LENGTHS])

    trained.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(1e-5),
    )
    begin = time.perf_counter()
    fit(warm, **options)
    warmed = time.perf_counter() - begin

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            turns.begin(updates)

        def on_train_batch_end(self, batch, logs=None):
            # Reading the loss waits for the device.
            float(logs["loss"])
            turns.updated()

    history = fit(data, callbacks=[Clock()], **options)
    return {
        "first_s": warmed,
        "trainable": sum(math.prod(w.shape) for w in trained.trainable_weights),
        "loss": float(history.history["loss"][-1]),
        "positions": positions,
    }


def _bucketed(side, lm, encoded, arguments):
    """What trains, whole or the top alone, and its batches."""
    import keras_grow

    x, *others = encoded
    trained = lm
    if side.endswith("_top"):
        states = keras_grow.LowerStates(lm, x, arguments.folder).write()
        x, trained = states.x, states.top()
    keras_grow.supervised_logits(trained)
    batches = keras_grow.LengthBuckets(x, *others, batch_size=arguments.batch)
    return trained, batches
