"""Two skills in one model: what does each way of having both cost?

`python examples/benchmarks/skills.py --data DATA --folder runs/router`

Takes the growths and the rows of `router.py` from its folder, trains the
rivals on the same rows, scores them on the same examples, and adds its rows.
If it is interrupted, the same command resumes it.
"""

import argparse
import time
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import router
import router_sets as sets
from router import losses
from skill_training import LENGTHS
from skill_training import fit
from skill_training import rows
from skills_report import markdown

import keras_grow
from keras_grow.comparison import Method
from keras_grow.evaluation import Scorer
from keras_grow.files import atomic_path
from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import kernel_variable

LORA = Method("lora", "lora", learning_rate=5e-4, targets="all", rank=16)
# What each rival's weights are the base's plus: shares of the changes of
# trainings, by method and data.
RIVALS = {
    "SFT on both": {"sft/both": 1.0},
    "SFT on both, half of it": {"sft/both": 0.5},
    "SFT, averaged": {"sft/french": 0.5, "sft/science": 0.5},
    "SFT, added": {"sft/french": 1.0, "sft/science": 1.0},
    "LoRA, averaged": {"lora/french": 0.5, "lora/science": 0.5},
    "LoRA, added": {"lora/french": 1.0, "lora/science": 1.0},
    "SFT, French, then science": {"sft/science after french": 1.0},
}
# A training of each skill, kept apart; the growths' router picks one or none.
ROUTED = {"SFT, routed": "sft", "LoRA, routed": "lora"}
GROWTHS = {
    "growths, averaged": {"french": 0.5, "science": 0.5},
    "growths, added": {"french": 1.0, "science": 1.0},
}

WAYS = (*ROUTED, *GROWTHS, *RIVALS)


class Skills(router.Measurement):
    """The measurement of `router.py`, of more ways to have both skills."""

    @cached_property
    def plain(self):
        """A model that rivals' weights are put into, its base, its scorer."""
        lm = keras_grow.load_causal_lm(router.MODEL)
        return lm, weights_of(lm), Scorer(lm, batch_size=8, max_length=512)

    @cached_property
    def judge(self):
        """What says which skill a prompt is for."""
        return self.router(False)

    def trained(self, name):
        """The weights that a training gave, trained if they are not there."""
        path = self.options.folder / f"{name.replace('/', ' ')}.npz"
        if not path.exists():
            start = time.monotonic()
            weights = train(name, self)
            with atomic_path(path) as part:
                np.savez(part, *weights)
            print(name, f"{time.monotonic() - start:.0f} s", flush=True)
        with np.load(path) as file:
            return [file[key] for key in file.files]

    def scorer_of(self, variant):
        """A scorer of a way, its weights or its dial set for it."""
        if variant in GROWTHS:
            keras_grow.set_growths(self.lm, GROWTHS[variant])
            return self.scorer
        if variant not in RIVALS:
            return super().scorer_of(variant)
        return self.scorer_with(RIVALS[variant])

    def scorer_with(self, shares):
        """A scorer of the base with shares of the changes of trainings."""
        lm, base, scorer = self.plain
        total = [weight.copy() for weight in base]
        for name, share in shares.items():
            new = self.trained(name)
            for summed, before, after in zip(total, base, new, strict=True):
                summed += share * (after - before)
        lm.backbone.set_weights(total)
        return scorer

    def loss(self, variant, kind):
        """Nats and tokens of each answer of a kind."""
        if variant not in ROUTED:
            return super().loss(variant, kind)
        pairs = self.pairs(kind)
        names = self.judge([prompt for prompt, _ in pairs]).names
        base = self.rows[f"loss/base/{kind}"]
        nats = [*base["nats"]]
        for skill in sets.SKILLS:
            chosen = [i for i, name in enumerate(names) if name == skill]
            if chosen:
                scorer = self.scorer_with({f"{ROUTED[variant]}/{skill}": 1.0})
                found = losses(scorer, [pairs[i] for i in chosen])
                for index, value in zip(chosen, found["nats"], strict=True):
                    nats[index] = value
        return {"nats": nats, "tokens": base["tokens"]}


def train(name, made):
    """The weights after a training: all of them, or LoRA, which is merged."""
    kind, _, data = name.partition("/")
    skill, _, before = data.partition(" after ")
    keras.utils.set_random_seed(0)
    lm = keras_grow.load_causal_lm(router.MODEL)
    if before:
        lm.backbone.set_weights(made.trained(f"{kind}/{before}"))
    rate = made.options.rate
    if kind == "lora":
        LORA.prepare(lm)
        rate = LORA.learning_rate
    tokenizer = lm.preprocessor.tokenizer
    if skill == "both":
        taught = interleaved(
            [rows(name, made.options, tokenizer) for name in sets.SKILLS]
        )
    else:
        taught = rows(skill, made.options, tokenizer)
    fit(lm, taught, rate)
    return weights_of(lm)


def interleaved(sets_of_rows):
    """Rows of several sets in turn, padded to one length."""
    length = max(LENGTHS.values())
    return [
        np.stack(
            [
                np.pad(array, ((0, 0), (0, length - array.shape[1])))
                for array in arrays
            ],
            axis=1,
        ).reshape(-1, length)
        for arrays in zip(*sets_of_rows, strict=True)
    ]


def weights_of(lm):
    """A backbone's weights, LoRA's added to the kernels that have it."""
    merged, added = {}, set()
    for layer in flatten_layers(lm.backbone):
        if getattr(layer, "lora_enabled", False):
            merged[id(kernel_variable(layer))] = layer.kernel
            added |= {id(layer.lora_kernel_a), id(layer.lora_kernel_b)}
    return [
        keras.ops.convert_to_numpy(merged.get(id(weight), weight))
        for weight in lm.backbone.weights
        if id(weight) not in added
    ]


def run(made):
    """Everything, in the order of what it is worth."""
    for variant in WAYS:
        for kind in made.held_out():
            made.score(variant, kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("runs/router"))
    parser.add_argument("--report", action="store_true", help="nothing else")
    options = parser.parse_args()
    made = Skills(options)
    if "machine" not in made.rows:
        raise SystemExit(f"Run router.py with --folder {options.folder} first.")
    for name in router.SETTINGS:
        setattr(options, name, made.rows["machine"][name])
    if not options.report:
        run(made)
    report = markdown(made.rows, WAYS)
    (options.folder / "skills.md").write_text(report, "utf-8")
    print(report)


if __name__ == "__main__":
    main()
