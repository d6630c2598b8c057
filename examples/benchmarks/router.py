"""Two growths on one base, and a router that picks: what reaches which?

`python examples/benchmarks/router.py --data DATA --folder runs/router`

Trains the growths, fits routers, dials, scores; a row of `rows.jsonl` for each
figure, as soon as it is there. If it is interrupted, the same command resumes
it.
"""

import argparse
import json
import time
from functools import cached_property
from pathlib import Path

import keras
import router_sets as sets
from machine import describe
from router_report import markdown
from skill_training import fit
from skill_training import rows

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import loglikelihood
from keras_grow.evaluation import perplexity

MODEL = "gemma3_270m_pip"
PROMPTS = 96
GENERAL = 200
HARD = ("captions, plain English", "captions, plain French", "sciq", "boolq")
HARD_EACH = 100
# What a run's first row keeps of its command.
SETTINGS = ("updates", "rate", "examples", "characters")


def train(name, options):
    """Grow all blocks, train the new slices, save them; once."""
    path = options.folder / f"{name}.grow.safetensors"
    if path.exists():
        return
    start = time.monotonic()
    keras.utils.set_random_seed(0)
    lm = load_causal_lm(MODEL)
    keras_grow.grow_model(lm, name=name)
    fit(lm, rows(name, options, lm.preprocessor.tokenizer), options.rate)
    keras_grow.save_growth(lm, path)
    print(name, f"{time.monotonic() - start:.0f} s", flush=True)


class Measurement:
    """The rows that are there, and the model that makes the others."""

    def __init__(self, options):
        self.options = options
        self.path = options.folder / "rows.jsonl"
        self.rows = {}
        if self.path.exists():
            for line in self.path.read_text("utf-8").splitlines():
                row = json.loads(line)
                self.rows[row["row"]] = row

    @cached_property
    def lm(self):
        """The base with both growths."""
        lm = load_causal_lm(MODEL)
        for name in sets.SKILLS:
            path = self.options.folder / f"{name}.grow.safetensors"
            keras_grow.load_growth(lm, path)
        return lm

    @cached_property
    def scorer(self):
        """What scores it, whatever its dial."""
        return Scorer(self.lm, batch_size=8, max_length=512)

    @cached_property
    def dialed(self):
        """The scale that was chosen for each growth."""
        return {
            name: self.rows[f"dial/{name}"]["scale"] for name in sets.SKILLS
        }

    @cached_property
    def routed(self):
        """What scores each prompt with the growth that it is routed to."""
        return self.router(False).scorer(batch_size=8, max_length=512)

    @cached_property
    def routed_dialed(self):
        """The same, each growth at the scale that was chosen for it."""
        router = self.router(False, self.dialed)
        return router.scorer(batch_size=8, max_length=512)

    def measure(self, key, function):
        """A row of this key, measured if it is not there."""
        if key not in self.rows:
            start = time.monotonic()
            row = {"row": key, **function()}
            row["seconds"] = round(time.monotonic() - start, 1)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
            self.rows[key] = row
        return self.rows[key]

    @cached_property
    def others(self):
        """See `router_sets`."""
        return sets.others(self.options.data)

    @cached_property
    def near(self):
        """See `router_sets`."""
        return sets.near(self.options.data)

    def router(self, hard, scales=None):
        """A router, fitted with hard negatives or without."""
        prompts = {
            name: [
                example.prompt
                for example in sets.skill(name, self.options.data, "train")
            ][:PROMPTS]
            for name in sets.SKILLS
        }
        general = [
            prompt
            for kind in ("wikitext", "lambada")
            for prompt, _ in self.others[kind][:GENERAL]
        ]
        negatives = [
            text for kind in HARD for text in self.near[kind][:HARD_EACH]
        ]
        return keras_grow.GrowthRouter(self.lm).fit(
            prompts, general, negatives if hard else None, scales=scales
        )

    def held_out(self):
        """Prompts that no router was fitted on, with answers, by kind."""
        kinds = {}
        for name in sets.SKILLS:
            examples = sets.skill(name, self.options.data, "val")
            kinds[name] = [(e.prompt, e.response) for e in examples]
        return {
            **kinds,
            **{kind: pairs[GENERAL:] for kind, pairs in self.others.items()},
        } | {"french prose": self.others["french prose"]}

    def shares(self, hard):
        """Where a router sends prompts of each kind."""
        router = self.router(hard)
        kinds = {
            kind: [prompt for prompt, _ in pairs[:500]]
            for kind, pairs in self.held_out().items()
        }
        for kind, texts in self.near.items():
            kinds[kind] = texts[HARD_EACH:][:500]
        found = {}
        for kind, texts in kinds.items():
            names = router(texts).names
            found[kind] = {name: names.count(name) for name in router.classes}
        held_out = router.held_out
        return {
            "routes": found,
            "threshold": held_out.threshold,
            "false_alarm": held_out.false_alarm,
            "held_out_false_alarms": held_out.false_alarms,
            "held_out_reached": held_out.reached,
        }

    def score(self, variant, kind):
        """A row of losses: of the base, a growth at a scale, or routed."""
        self.measure(f"loss/{variant}/{kind}", lambda: self.loss(variant, kind))

    def loss(self, variant, kind):
        """Nats and tokens of each answer of a kind."""
        return losses(self.scorer_of(variant), self.pairs(kind))

    def pairs(self, kind):
        """The prompts and answers of a kind that are scored."""
        options = self.options
        pairs = [
            (prompt, answer)
            for prompt, answer in self.held_out()[kind]
            if len(prompt + answer) <= options.characters
        ]
        return pairs[: options.examples]

    def scorer_of(self, variant):
        """A scorer of a column of the table, the dial set for it."""
        if variant == "routed":
            return self.routed
        if variant == "routed dialed":
            return self.routed_dialed
        name, _, dialed = variant.partition(" ")
        scale = self.dialed[name] if dialed else 1.0
        keras_grow.set_growths(self.lm, {} if name == "base" else {name: scale})
        return self.scorer

    def dial(self, name):
        """The largest scale of one growth alone within 2% of perplexity."""
        keras_grow.set_growths(self.lm, {})
        text = self.others["wikitext"][GENERAL - 6 : GENERAL]
        texts = [before + after for before, after in text]
        choice = keras_grow.choose_scale(
            self.lm,
            new=None,
            old=lambda _: perplexity(self.scorer, texts),
            name=name,
            steps=4,
        )
        return {
            "scale": choice.scale,
            "increase": choice.increase,
            "monotone": choice.monotone,
            "tried": [[t.scale, t.old] for t in choice.tried],
        }


def losses(scorer, pairs):
    """Nats and tokens of each answer after its prompt."""
    scored = loglikelihood(
        scorer,
        [prompt for prompt, _ in pairs],
        [answer for _, answer in pairs],
    )
    return {
        "nats": [round(float(-x), 4) for x in scored.logprob],
        "tokens": [int(n) for n in scored.n_tokens],
    }


def run(options):
    """Everything, in the order of what it is worth."""
    for name in sets.SKILLS:
        train(name, options)
    made = Measurement(options)
    made.measure(
        "machine",
        lambda: (
            describe() | {name: getattr(options, name) for name in SETTINGS}
        ),
    )
    for hard in (False, True):
        made.measure(f"routes/hard={hard}", lambda hard=hard: made.shares(hard))
    for name in sets.SKILLS:
        made.measure(f"dial/{name}", lambda name=name: made.dial(name))
    dialed = [f"{name} dialed" for name in sets.SKILLS]
    variants = ("base", "routed", "routed dialed", *sets.SKILLS, *dialed)
    for variant in variants:
        for kind in made.held_out():
            made.score(variant, kind)
    return made.rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("runs/router"))
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--rate", type=float, default=2e-5)
    parser.add_argument("--examples", type=int, default=100, help="of a loss")
    parser.add_argument(
        "--characters", type=int, default=400, help="of each, at most"
    )
    parser.add_argument("--report", action="store_true", help="nothing else")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = Measurement(options).rows if options.report else run(options)
    report = markdown(rows, sets.SKILLS)
    (options.folder / "report.md").write_text(report, "utf-8")
    print(report)


if __name__ == "__main__":
    main()
