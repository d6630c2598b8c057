"""What the dial costs, and what several active growths cost.

    python examples/benchmarks/dial.py --output dial

The dial: one grown model, G-Freeze at scale 1, compiled twice: as it is, and
with the down-projection as it was before there was a dial, with the share as a
number and no scale. Both give the same logits, bit for bit.

Several growths: one model with four, of which none, one, two and four are
active. The newest trains; the others, where active, are frozen.

The model has random weights, the blocks of Gemma 3 and a small vocabulary: a
large head costs the same on every side and would hide what differs.

All sides of a comparison are in one process. A round times each of them twice,
in order and back, and gives one ratio per side; the figure is the median of
the rounds' ratios with a 95% bootstrap interval. It is given of seconds and of
the processor's seconds of all threads, which a busy machine disturbs less.
"""

import argparse
import contextlib
import json
import os
import time
from pathlib import Path

import keras
import keras_hub
import numpy as np
from keras import ops
from machine import describe
from methods import SHAPES

import keras_grow
from keras_grow import GrowableDense
from keras_grow.layers.dense_slices import apply
from keras_grow.layers.dense_slices import multiply
from keras_grow.layers.dense_slices import split

CLOCKS = ("seconds", "processor seconds")
LIMIT = 1.02
PROMPT = 32
ACTIVE = (0, 1, 2, 4)
WITH_DIAL = GrowableDense._down


def without_dial(self, inputs, training):
    """`GrowableDense._down` of one slice, as it was without a dial."""
    old, new = split(inputs, self._widths())
    outputs = multiply(self.base, old) * (1.0 - self.base_shares[0])
    return outputs + apply(self.slices[0], new, training)


DOWN = {"dial": WITH_DIAL, "constant": without_dial}


class Subject:
    """A grown model of random weights, and what is timed of it."""

    def __init__(self, options, growths):
        keras.utils.set_random_seed(0)
        shape = {
            **SHAPES[options.model],
            "num_layers": options.layers,
            "vocabulary_size": options.vocabulary,
        }
        self.lm = keras_hub.models.Gemma3CausalLM(
            backbone=keras_hub.models.Gemma3Backbone(**shape),
            preprocessor=None,
        )
        rng = np.random.default_rng(0)
        for index in range(growths):
            keras_grow.grow_model(self.lm, name=f"growth_{index + 1}")
            keras_grow.set_growths(self.lm, {})
        keras_grow.set_growths(self.lm, f"growth_{growths}")
        for weight in self.lm.trainable_weights:
            weight.assign(weight + 0.01 * rng.standard_normal(weight.shape))
        self.lm.compile(
            optimizer=keras.optimizers.Adam(1e-5),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[],
            sampler="greedy",
        )
        keras_grow.supervised_logits(self.lm)
        rows, length = options.tokens
        tokens = rng.integers(4, shape["vocabulary_size"], (rows, length))
        self.batch = {
            "token_ids": tokens.astype("int32"),
            "padding_mask": np.ones_like(tokens, bool),
        }
        self.targets = np.roll(tokens, -1, axis=1).astype("int32")
        supervised = np.arange(length) >= length - length // 8
        self.weights = np.tile(supervised.astype("float32"), (rows, 1))
        self.new = options.new
        self.compiled = {
            name: {"train_function": None, "generate_function": None}
            for name in DOWN
        }

    @contextlib.contextmanager
    def down(self, name):
        """The model with one of `DOWN`, and what was compiled of it."""
        GrowableDense._down = DOWN[name]
        for attribute, function in self.compiled[name].items():
            setattr(self.lm, attribute, function)
        try:
            yield
        finally:
            for attribute in self.compiled[name]:
                self.compiled[name][attribute] = getattr(self.lm, attribute)
            GrowableDense._down = WITH_DIAL

    @contextlib.contextmanager
    def active(self, number):
        """The model with its newest growths active."""
        names = list(keras_grow.growths(self.lm))
        keras_grow.set_growths(
            self.lm, dict.fromkeys(names[len(names) - number :], 1.0)
        )
        yield

    def step(self):
        """One step of training."""
        # The rows are token ids already: past the task's preprocessor.
        keras.Model.train_on_batch(
            self.lm, self.batch, self.targets, sample_weight=self.weights
        )

    def generation(self):
        """Tokens after a prompt, greedily."""
        length = PROMPT + self.new
        tokens = np.zeros((1, length), "int32")
        tokens[:, :PROMPT] = self.batch["token_ids"][:1, :PROMPT]
        filled = np.arange(length)[None] < PROMPT
        prompt = {
            "token_ids": ops.convert_to_tensor(tokens),
            "padding_mask": ops.convert_to_tensor(filled),
        }
        made = self.lm.make_generate_function()(prompt, None)
        ops.convert_to_numpy(made["token_ids"])

    def logits(self):
        """Of a few tokens, to see that sides compute the same."""
        few = {key: value[:1, :8] for key, value in self.batch.items()}
        return ops.convert_to_numpy(self.lm(few))


def time_sides(work, side, names, rounds):
    """Times of all sides: rounds, sides, clocks."""
    for name in names:
        with side(name):
            work()
            work()
    times = np.zeros((rounds, len(names), len(CLOCKS)))
    for row in times:
        for index in (*range(len(names)), *reversed(range(len(names)))):
            with side(names[index]):
                start = time.perf_counter(), time.process_time()
                work()
                end = time.perf_counter(), time.process_time()
            row[index] += np.subtract(end, start) / 2
        print(work.__name__, names, row[:, 0].round(3), flush=True)
    return times


def median(ratios):
    """The median of rounds with its bootstrap interval."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(ratios), (2000, len(ratios)))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), [0.025, 0.975])
    return [float(np.median(ratios)), float(low), float(high)]


def of_dial(times):
    """Time with the dial over time without."""
    return {
        clock: {
            "times": times[..., index].round(4).tolist(),
            "ratio": median(times[:, 0, index] / times[:, 1, index]),
        }
        for index, clock in enumerate(CLOCKS)
    }


def of_several(times, numbers):
    """What each number adds, over as many times what one growth adds."""
    found = {}
    for index, clock in enumerate(CLOCKS):
        taken = dict(zip(numbers, times[..., index].T, strict=True))
        # What trains costs more than what is only active: from one on.
        first, second = numbers[:2]
        share = taken[second] - taken[first]
        found[clock] = {
            "times": times[..., index].round(4).tolist(),
            "adds": {
                str(number): median(
                    (taken[number] - taken[first])
                    / ((number - first) * np.median(share))
                )
                for number in numbers[2:]
            },
        }
    return found


def markdown(report):
    """The report for people."""
    lines = ["# What the dial costs, and what several growths cost", ""]
    for part in ("machine", "settings"):
        lines += [f"- {k}: {v}" for k, v in report[part].items()]
    lines += ["", "## The dial", ""]
    lines += ["Time with the dial over time without: the median of the"]
    lines += ["rounds, in brackets its 95% bootstrap interval."]
    lines += ["", "| | clock | dial | constant | ratio | goal |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: |"]
    for work, clocks in report["dial"].items():
        for clock, row in clocks.items():
            dial, constant = np.median(row["times"], axis=0)
            lines.append(
                f"| {work} | {clock} | {dial:.3f} | {constant:.3f} | "
                f"{_interval(row['ratio'])} | {LIMIT} |"
            )
    lines += ["", "## Several active growths", ""]
    lines += ["Median times, and what a number of growths adds over as many"]
    lines += ["times what one adds: 1 is the slices' share and nothing else."]
    lines += ["A step counts from one active growth on, which trains."]
    lines += ["", "| | clock | times | adds |", "| --- | --- | --- | --- |"]
    for work, clocks in report["several"].items():
        numbers = ACTIVE if work == "generation" else ACTIVE[1:]
        for clock, row in clocks.items():
            taken = np.median(row["times"], axis=0)
            pairs = zip(numbers, taken, strict=True)
            adds = row["adds"].items()
            cells = [
                ", ".join(f"{n}: {seconds:.3f}" for n, seconds in pairs),
                ", ".join(f"{n}: {_interval(found)}" for n, found in adds),
            ]
            lines.append(f"| {work} | {clock} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(found):
    value, low, high = found
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", choices=SHAPES, default="270m")
    parser.add_argument("--tokens", default="4x64", help="rows x length")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--new", type=int, default=32, help="tokens generated")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", default="dial", help="without an ending")
    options = parser.parse_args()
    settings = {"backend": keras.config.backend(), **vars(options)}
    del settings["output"]
    options.tokens = [int(part) for part in options.tokens.split("x")]
    rounds, load = options.rounds, [os.getloadavg()[0]]
    report = {"machine": describe(), "settings": settings}
    one = Subject(options, growths=1)
    outputs = []
    for name in DOWN:
        with one.down(name):
            outputs.append(one.logits())
    np.testing.assert_array_equal(*outputs)
    report["dial"] = {
        work.__name__: of_dial(time_sides(work, one.down, list(DOWN), rounds))
        for work in (one.step, one.generation)
    }
    del one
    several = Subject(options, growths=max(ACTIVE))
    report["several"] = {
        work.__name__: of_several(
            time_sides(work, several.active, numbers, rounds), numbers
        )
        for work, numbers in (
            (several.step, ACTIVE[1:]),
            (several.generation, ACTIVE),
        )
    }
    load.append(os.getloadavg()[0])
    report["machine"]["load average, before and after"] = load
    output = Path(options.output)
    output.with_suffix(".json").write_text(json.dumps(report) + "\n")
    output.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
