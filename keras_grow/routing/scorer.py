"""Scores in which each request runs with the growth of its context."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_grow.evaluation.decoding import Decoder
from keras_grow.evaluation.results import LogLikelihoods
from keras_grow.evaluation.scorer import Scorer
from keras_grow.evaluation.tokens import Pair
from keras_grow.routing.grouped import run_grouped

if TYPE_CHECKING:
    from keras_grow.routing.router import GrowthRouter


class RoutedScorer(Scorer):
    """A `Scorer` over a router: requests grouped, results in order."""

    def __init__(self, router: "GrowthRouter", **kwargs: Any) -> None:
        super().__init__(router.lm, **kwargs)
        self._router = router
        # One per class, which keeps what was compiled.
        self._alone = {
            name: Scorer(router.lm, **kwargs) for name in router.classes
        }
        self.decoder = _RoutedDecoder(router, self._alone, self.tokenizer)

    def score_tokens(self, pairs: Sequence[Pair]) -> LogLikelihoods:
        """Log-likelihood of each continuation, by its context's growth."""
        router = self._router
        names = router.route_tokens([context for context, _ in pairs]).names
        logprob = np.zeros(len(pairs))
        n_tokens = np.zeros(len(pairs), dtype="int64")
        is_greedy = np.ones(len(pairs), dtype=bool)

        def run(name: str, rows: list[int]) -> None:
            requests = [pairs[row] for row in rows]
            scored = self._alone[name].score_tokens(requests)
            logprob[rows], n_tokens[rows], is_greedy[rows] = scored

        run_grouped(self.lm, names, router.scales, run)
        return LogLikelihoods(logprob, n_tokens, is_greedy)


class _RoutedDecoder(Decoder):
    """Greedy decoding, each prompt with its growth."""

    def __init__(
        self, router: "GrowthRouter", alone: dict[str, Scorer], tokenizer: Any
    ) -> None:
        super().__init__(router.lm, tokenizer)
        self._router = router
        self._alone = alone

    def generate(
        self,
        prompts: Sequence[str],
        max_new_tokens: int,
        stop: Sequence[str] = ("\n",),
    ) -> list[str]:
        """Continue each prompt greedily."""
        router = self._router
        names = router(prompts).names
        answers = [""] * len(names)

        def run(name: str, rows: list[int]) -> None:
            found = self._alone[name].decoder.generate(
                [prompts[row] for row in rows], max_new_tokens, stop
            )
            for row, answer in zip(rows, found, strict=True):
                answers[row] = answer

        run_grouped(self.lm, names, router.scales, run)
        return answers
