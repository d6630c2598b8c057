"""KerasHub models under lm-evaluation-harness (`pip install lm-eval`)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import keras
from lm_eval.api.model import TemplateLM  # type: ignore[import-untyped,unused-ignore]
from lm_eval.models.utils import normalize_gen_kwargs  # type: ignore[import-untyped,unused-ignore]
from lm_eval.utils import get_rolling_token_windows  # type: ignore[import-untyped,unused-ignore]
from lm_eval.utils import make_disjoint_window

from keras_grow.evaluation.results import LogLikelihoods
from keras_grow.evaluation.scorer import Scorer
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.start_token import start_token


class KerasHubLM(TemplateLM):
    """A KerasHub model (base, grown or merged) for lm-eval.

    Texts are split into tokens by lm-eval's own rule, which this class
    inherits; log-likelihoods and generation are those of a `Scorer`.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        max_new_tokens: the most tokens for generation tasks that do not set it.
            Defaults to 256, as elsewhere in lm-eval.

    Example:

    ```python
    import lm_eval
    from keras_grow.evaluation.harness import KerasHubLM

    lm_eval.simple_evaluate(KerasHubLM(lm), tasks=["winogrande"])
    ```
    """

    def __init__(
        self, lm: keras.Model | Scorer, max_new_tokens: int = 256
    ) -> None:
        super().__init__()
        self.scorer = Scorer.of(lm)
        self.tokenizer = self.scorer.tokenizer
        self.max_new_tokens = max_new_tokens

    @property
    def eot_token_id(self) -> int:
        """Id of the end token."""
        return int(self.tokenizer.end_token_id)

    @property
    def prefix_token_id(self) -> int:
        """Id of the token that replaces an empty context."""
        return start_token(self.tokenizer)

    @property
    def max_length(self) -> int:
        """The most tokens that the model reads of a request."""
        return self.scorer.max_length

    @property
    def tokenizer_name(self) -> str:
        """A name for lm-eval's caches of requests."""
        return str(self.tokenizer.name)

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        **kwargs: Any,
    ) -> list[int]:
        """Token ids of a text, with the start token first by default."""
        ids = tokenize(self.tokenizer, [string])[0]
        if add_special_tokens is None:
            add_special_tokens = self.scorer.add_start_token
        return [self.prefix_token_id, *ids] if add_special_tokens else ids

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[tuple[str, str], list[int], list[int]]],
        **kwargs: Any,
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of each request, and whether it is greedy."""
        scored = self.scorer.score_tokens(
            [(context, continuation) for _, context, continuation in requests]
        )
        results = _pairs(scored)
        for (texts, _, _), result in zip(requests, results, strict=True):
            self.cache_hook.add_partial("loglikelihood", texts, result)
        return results

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood of whole texts, in lm-eval's own windows."""
        windows = []
        owners = []
        for number, request in enumerate(requests):
            for window in get_rolling_token_windows(
                self.tok_encode(request.args[0], add_special_tokens=False),
                self.prefix_token_id,
                self.max_length,
                context_len=1,
            ):
                windows.append(make_disjoint_window(window))
                owners.append(number)
        totals = [0.0] * len(requests)
        scored = self.scorer.score_tokens(windows)
        for owner, value in zip(owners, scored.logprob, strict=True):
            totals[owner] += float(value)
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial(
                "loglikelihood_rolling", request.args, total
            )
        return totals

    def generate_until(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[str]:
        """Greedy continuations, up to each request's own stop texts."""
        groups: dict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(list)
        for number, request in enumerate(requests):
            groups[self._options(request.args[1])].append(number)
        written = [""] * len(requests)
        for (max_new_tokens, stop), numbers in groups.items():
            prompts = [requests[number].args[0] for number in numbers]
            answers = self.scorer.decoder.generate(
                prompts, max_new_tokens, stop
            )
            for number, answer in zip(numbers, answers, strict=True):
                written[number] = answer
                self.cache_hook.add_partial(
                    "generate_until", requests[number].args, answer
                )
        return written

    def _options(self, options: dict[str, Any]) -> tuple[int, tuple[str, ...]]:
        """How many tokens a request may take, and its stop texts."""
        normal = normalize_gen_kwargs(options, self.max_new_tokens)
        if normal["do_sample"]:
            raise ValueError(
                "Expected greedy decoding. "
                f"Received: generation_kwargs={options}. Pass "
                'gen_kwargs="do_sample=False" to lm-eval.'
            )
        # An empty text is in every answer; it stops none.
        stop = tuple(text for text in normal["until"] if text)
        return normal["max_gen_toks"], stop


def _pairs(scored: LogLikelihoods) -> list[tuple[float, bool]]:
    return [
        (float(value), bool(greedy))
        for value, greedy in zip(scored.logprob, scored.is_greedy, strict=True)
    ]
