"""The scores of a run: the new task, and what the base could do before."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras

from keras_grow.comparison.events import Begun
from keras_grow.comparison.events import Listener
from keras_grow.comparison.metrics import metric_of
from keras_grow.comparison.plan import Plan
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import evaluate
from keras_grow.evaluation import loglikelihood
from keras_grow.evaluation import perplexity
from keras_grow.evaluation.results import MeanLoss
from keras_grow.evaluation.results import Perplexity
from keras_grow.evaluation.results import Result
from keras_grow.tasks import Example
from keras_grow.tasks import Task
from keras_grow.tasks import load_task
from keras_grow.tasks import wikitext_articles
from keras_grow.tasks.example import text_of

# Perplexity text is cut to this many characters per example.
_CHARACTERS = 400
Loss = MeanLoss | Perplexity


class Scores:
    """Every score of a comparison, for one model."""

    def __init__(self, lm: keras.Model, plan: Plan, task: Task) -> None:
        self.scorer = Scorer(lm, batch_size=plan.batch_size)
        self.functions: dict[str, Callable[[], Result]] = {}
        # Those with a loss for each example.
        self.smooth: dict[str, Callable[[], Loss]] = {}
        new = (task.test or task.validation)[: plan.examples]
        self._add_smooth("new/loss", partial(mean_loss, self.scorer, new))
        if metric_of(task.metric).generated:
            new = new[: plan.generated]
        if new:
            self.functions[f"new/{task.metric}"] = lambda: evaluate(
                self.scorer, new, task.metric
            )
        for name in plan.retention:
            before = len(self.functions)
            self._add_retention(name, plan)
            if len(self.functions) == before:
                raise ValueError(
                    "Expected retention sets whose names end differently. "
                    f"Received: retention={plan.retention}, of which {name!r} "
                    "would take the place of an earlier one."
                )

    def run(self, on_event: Listener = lambda event: None) -> dict[str, Result]:
        """Score the model as it is now.

        Names of results begin with `new/` for the new task, `old/` for a
        retention set.
        """
        results: dict[str, Result] = {}
        for name, score in self.functions.items():
            on_event(Begun("measure", len(results), len(self.functions)))
            results[name] = score()
        return results

    def run_smooth(self) -> dict[str, Loss]:
        """Compute the scores that change smoothly: loss and perplexities."""
        return {name: score() for name, score in self.smooth.items()}

    def _add_retention(self, name: str, plan: Plan) -> None:
        if name.endswith(".txt"):
            text = Path(name).read_text("utf-8")
            texts = wikitext_articles(name) if "@-@" in text else [text]
            texts = _up_to(texts, _CHARACTERS * plan.examples)
            self._add_smooth(
                f"old/{Path(name).stem}",
                partial(perplexity, self.scorer, texts),
            )
            return
        kind, _, rest = name.partition(":")
        as_text = kind == "perplexity"
        task = load_task(rest if as_text else name, plan.data_dir)
        # Of a single file, its rows: nothing trains on them.
        rows = task.test or task.validation or task.train
        examples = rows[: plan.examples]
        short = f"old/{name.rpartition(':')[2]}"
        if as_text:
            whole = [text_of(example) for example in examples]
            texts = _up_to(whole, _CHARACTERS * plan.examples)
            self._add_smooth(short, partial(perplexity, self.scorer, texts))
        else:
            self.functions[short] = lambda: evaluate(
                self.scorer, examples, task.metric
            )

    def _add_smooth(self, name: str, score: Callable[[], Loss]) -> None:
        self.functions[name] = self.smooth[name] = score


def mean_loss(scorer: Scorer, examples: tuple[Example, ...]) -> MeanLoss:
    """Negative log-likelihood of the right answers, in nats per token."""
    found = loglikelihood(
        scorer,
        [example.prompt for example in examples],
        [example.response for example in examples],
    )
    return MeanLoss(
        "loss",
        -float(found.logprob.sum() / found.n_tokens.sum()),
        len(examples),
        tuple(map(float, -found.logprob)),
        tuple(map(int, found.n_tokens)),
    )


def _up_to(texts: list[str], characters: int) -> list[str]:
    """The first texts, up to a number of characters."""
    kept: list[str] = []
    for text in texts:
        if characters <= 0:
            break
        kept.append(text[:characters])
        characters -= len(kept[-1])
    return kept
