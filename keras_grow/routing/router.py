"""`GrowthRouter`: answer each prompt with the growth that fits it."""

import os
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_grow.evaluation.results import LogLikelihoods
from keras_grow.evaluation.scorer import Scorer
from keras_grow.files.checked_json import check_float
from keras_grow.growth.config import check_scales
from keras_grow.growth.state import grown_state
from keras_grow.routing import grouped
from keras_grow.routing import router_file
from keras_grow.routing.features import features_of
from keras_grow.routing.judge import HeldOut
from keras_grow.routing.judge import fit_judge
from keras_grow.routing.scorer import RoutedScorer
from keras_grow.saving.fingerprint import base_fingerprint
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.start_token import start_token


class GrowthRouter:
    r"""Picks a growth, or none, for each prompt and runs it.

    A small classifier reads the mean of a prompt's token embeddings, which
    needs no forward pass of the model. It is a logistic regression with a
    single minimum, so every fit gives the same result. A prompt goes to the
    likeliest skill if that is likelier than a threshold and the prompt is no
    farther from the middle of the skill than the skill's own prompts are.
    Otherwise the base answers it, bit for bit.

    Embeddings show how a request is phrased more than what a text is about. A
    skill whose prompts share a form is recognized by that form. If the same
    form can also ask for something else, give such prompts as hard negatives.

    Args:
        lm: a grown KerasHub `CausalLM` with a preprocessor.
        features: `"embeddings"`, or `"hidden"` for the mean of the base's
            hidden state after a block, which costs a pass up to there and shows
            more of what a text is about.
        block: index of that block, with `features="hidden"`.

    Raises:
        ValueError: if the model is not grown or has no tokenizer, or an
            argument is not valid.

    Example:

    ```python
    router = keras_grow.GrowthRouter(lm).fit(
        {"french": french_prompts, "science": questions},
        general=wikipedia_passages,
    )
    router(["English: Good night.\nFrench:"]).names  # ["french"]
    router.generate(["English: Good night.\nFrench:"], max_length=32)
    router.save("router.safetensors")
    ```
    """

    def __init__(
        self,
        lm: keras.Model,
        features: str = "embeddings",
        block: int | None = None,
    ) -> None:
        grown_state(lm)
        # A model that a scorer refuses cannot answer prompts either.
        self._tokenizer = Scorer(lm).tokenizer
        start = start_token(self._tokenizer)
        self._features = features_of(lm, features, block, start)
        self._fitted: router_file.RouterFile | None = None
        self.lm = lm
        self.features = features
        self.block = block

    def fit(
        self,
        prompts: Mapping[str, Sequence[str]],
        general: Sequence[str],
        hard_negatives: Sequence[str] | None = None,
        false_alarm: float = 0.01,
        scales: Mapping[str, float] | None = None,
    ) -> "GrowthRouter":
        """Learn which prompts are for which growth.

        Args:
            prompts: for each growth, prompts of its skill as they will be
                asked: at least two, better a hundred.
            general: text of every other kind that the model will meet.
            hard_negatives: text that is close to a skill and must stay with
                the base. Counts as general text. Defaults to `None`.
            false_alarm: the share of general text that may be taken for a
                skill, bounded with held-out texts. This takes
                `1 / false_alarm` of them; with fewer, the bound is
                `held_out.false_alarm`. Kinds of text that are not in `general`
                have no bound. Defaults to 0.01.
            scales: the scale at which each growth runs, by name. A growth that
                is not named runs at 1. Defaults to `None`: 1 for each.

        Returns:
            The router.

        Raises:
            ValueError: if a growth is missing, a class has too few texts, a
                text is empty, or an argument is out of range.
        """
        if not 0.0 < check_float(false_alarm, "false_alarm") < 1.0:
            raise ValueError(
                "Expected `false_alarm` to be between 0 and 1. "
                f"Received: false_alarm={false_alarm}"
            )
        names = list(prompts)
        grouped.check_names(self.lm, names)
        given = check_scales(dict(scales or {}), names)
        texts = grouped.checked_texts(prompts, general, hard_negatives or ())
        tokens = [self._tokens(own) for own in texts]
        rows = [row for own in tokens for row in own]
        labels = np.repeat(np.arange(len(tokens)), [len(own) for own in tokens])
        judge, held_out = fit_judge(
            self._features(rows), labels, len(names), false_alarm
        )
        self._fitted = router_file.RouterFile(
            judge,
            held_out,
            (*names, grouped.NONE),
            {name: given.get(name, 1.0) for name in names},
            self.features,
            self.block,
            base="",
        )
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """The skills in the order in which they were given, then `"none"`."""
        return self._checked().classes

    @property
    def scales(self) -> dict[str, float]:
        """The scale at which each growth runs."""
        return dict(self._checked().scales)

    @property
    def held_out(self) -> HeldOut:
        """The `threshold`, and how it did on held-out prompts.

        `false_alarm` bounds the share of general text that is taken for a
        skill, `false_alarms` is the share that was, `reached` the share of
        each skill's prompts that reached it.
        """
        return self._checked().held_out

    def __call__(self, prompts: str | Sequence[str]) -> grouped.Routes:
        """Return where prompts go, and how likely each class is.

        White space at the end is ignored; white space alone goes to the base.

        Returns:
            `names`, `"none"` for the base, and `probabilities` of `classes`.
        """
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        return self.route_tokens(self._tokens(texts))

    def route_tokens(self, rows: Sequence[Sequence[int]]) -> grouped.Routes:
        """Return where prompts go that are given as token ids.

        Args:
            rows: token ids of each prompt, with or without the start token.
        """
        fitted = self._checked()
        start = [start_token(self._tokenizer)]
        bare = [
            list(row[1:] if list(row[:1]) == start else row) for row in rows
        ]
        names = [grouped.NONE] * len(bare)
        probabilities = np.zeros((len(bare), len(fitted.classes)))
        probabilities[:, -1] = 1.0
        filled = [index for index, row in enumerate(bare) if row]
        if filled:
            features = self._features([bare[index] for index in filled])
            chosen, probabilities[filled] = fitted.judge(features)
            for index, label in zip(filled, chosen, strict=True):
                names[index] = fitted.classes[label]
        return grouped.Routes(names, probabilities)

    def generate(
        self, prompts: str | Sequence[str], **kwargs: Any
    ) -> str | list[str]:
        """Answer each prompt with its growth, as `lm.generate` does.

        Prompts of one growth go to the model together. Afterwards, also after
        any error, the dial is as it was.

        Args:
            prompts: a text, or several.
            **kwargs: what `lm.generate` takes: `max_length`,
                `stop_token_ids`, `strip_prompt`.

        Returns:
            A text for each prompt; for a single prompt, a single text.
        """
        lm: Any = self.lm
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        answers = [""] * len(texts)

        def run(_: str, indices: list[int]) -> None:
            found = lm.generate([texts[index] for index in indices], **kwargs)
            for index, answer in zip(indices, found, strict=True):
                answers[index] = answer

        grouped.run_grouped(self.lm, self(texts).names, self.scales, run)
        return answers[0] if isinstance(prompts, str) else answers

    def loglikelihood(
        self, contexts: Sequence[str], continuations: Sequence[str]
    ) -> LogLikelihoods:
        """Log-likelihood of each continuation, by the growth of its context.

        Args:
            contexts: N texts; an empty one goes to the base.
            continuations: N texts.

        Returns:
            What `keras_grow.evaluation.loglikelihood` returns.
        """
        return self.scorer().loglikelihood(contexts, continuations)

    def scorer(self, **kwargs: Any) -> Scorer:
        """A `Scorer` that runs each request with the growth of its context.

        Every function of `keras_grow.evaluation` accepts it, and so does the
        harness. Each request is routed separately: choices with different
        contexts may go to different growths, and a text without context, as in
        `perplexity`, goes to the base.

        Args:
            **kwargs: what `Scorer` takes besides the model.
        """
        self._checked()
        return RoutedScorer(self, **kwargs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the router, with the fingerprint of its base.

        The safetensors file holds neither weights of the model nor prompts.

        Args:
            path: the file.

        Raises:
            ValueError: if the router is not fitted.
            OSError: if the file cannot be written.
        """
        router_file.write_router_file(
            path, self._checked(), base_fingerprint(self.lm)
        )

    @classmethod
    def load(
        cls, lm: keras.Model, path: str | os.PathLike[str]
    ) -> "GrowthRouter":
        """Read a router for a model with the base that it was fitted on.

        Args:
            lm: the model. It needs the growths when prompts are routed to them.
            path: a file that `save` wrote.

        Raises:
            ValueError: if the file is damaged, is not a router, or belongs to
                another base.
            OSError: if it cannot be read.
        """
        fitted = router_file.read_router_file(path)
        if base_fingerprint(lm) != fitted.base:
            raise ValueError(
                "Expected the base model that the router was fitted on. "
                "Received: a model whose base has other weights, and the "
                f"router {os.fspath(path)!r}. Load the same checkpoint in the "
                "same dtype, or fit the router again."
            )
        router = cls(lm, fitted.features, fitted.block)
        router._fitted = fitted
        return router

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        # As in a scorer: trailing white space belongs to what follows.
        return tokenize(self._tokenizer, [text.rstrip() for text in texts])

    def _checked(self) -> router_file.RouterFile:
        if self._fitted is None:
            raise ValueError(
                "Expected a fitted router. Received: one that is not. "
                "Call `fit` first, or `GrowthRouter.load`."
            )
        return self._fitted
