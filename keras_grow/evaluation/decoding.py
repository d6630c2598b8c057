"""Greedy decoding of many prompts through KerasHub's `generate`."""

import contextlib
import warnings
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.evaluation.compiled import PerState
from keras_grow.evaluation.compiled import compiled_length
from keras_grow.evaluation.progress import ShowProgress
from keras_grow.evaluation.progress import reporter
from keras_grow.evaluation.tokens import check_texts
from keras_grow.evaluation.tokens import cut_left
from keras_grow.growth.compiled import sync_part
from keras_grow.growth.text_inputs import within_positions
from keras_grow.tasks.control_tokens import TURN_ENDS
from keras_grow.tasks.control_tokens import control_tokens
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.start_token import start_token


class Decoder:
    r"""Greedy decoding in batches of few shapes, compiled once per state.

    It runs the function behind the model's own `generate`, with a greedy
    sampler. The model's sampler and its compiled function stay as they were.
    `max_length` counts tokens of prompt and answer together; longer prompts
    lose tokens on their left, with a warning.
    """

    def __init__(
        self,
        lm: keras.Model,
        tokenizer: Any,
        batch_size: int = 16,
        max_length: int = 1024,
        add_start_token: bool = True,
        progress: ShowProgress = False,
        key: Callable[[], Hashable] | None = None,
    ) -> None:
        self.lm = lm
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.max_length = within_positions(max_length, lm.backbone)
        self.add_start_token = add_start_token
        self.progress = progress
        self._sampler = keras_hub.samplers.GreedySampler()
        self._function = PerState(lm.backbone, self._make_function, key)

    def generate(
        self,
        prompts: Sequence[str],
        max_new_tokens: int,
        stop: Sequence[str] = ("\n",),
    ) -> list[str]:
        r"""Continue each prompt greedily.

        A continuation ends before the first of the stop texts, or at an end
        token.
        """
        check_texts(prompts, "prompts")
        check_texts(stop, "stop")
        if not 0 < max_new_tokens < self.max_length:
            raise ValueError(
                f"Expected `max_new_tokens` to be from 1 to "
                f"{self.max_length - 1}. "
                f"Received: max_new_tokens={max_new_tokens}"
            )
        tokens = self._encode(prompts, self.max_length - max_new_tokens)
        order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
        ends = end_tokens(self.tokenizer)
        stop_ids = tuple(sorted(ends | self._stop_tokens(stop)))
        report = reporter(self.progress, len(order))
        written: dict[int, list[int]] = {}
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            rows = [tokens[i] for i in batch]
            # Rows that fill the batch repeat the last one, and end when it
            # ends.
            rows += [rows[-1]] * (self.batch_size - len(rows))
            outputs = self._run(rows, max_new_tokens, stop_ids)
            for i, prompt, output in zip(batch, rows, outputs, strict=False):
                new = output[len(prompt) :][:max_new_tokens].tolist()
                end = next((n for n, t in enumerate(new) if t in ends), None)
                written[i] = new[:end]
            report(start + len(batch))
        texts = detokenize(
            self.tokenizer, [written[i] for i in range(len(tokens))]
        )
        return [_before(text, stop) for text in texts]

    def _encode(self, prompts: Sequence[str], room: int) -> list[list[int]]:
        """Prompts as tokens, cut on their left to `room`."""
        start = [start_token(self.tokenizer)]
        encoded = []
        for ids in tokenize(self.tokenizer, prompts):
            with_start = self.add_start_token or not ids
            encoded.append(start + ids if with_start else ids)
        cut = sum(len(ids) > room for ids in encoded)
        if cut:
            warnings.warn(
                f"{cut} of {len(prompts)} prompts were cut on their left to "
                f"{room} tokens.",
                stacklevel=3,
            )
        kept = start[0] if self.add_start_token else None
        return [list(cut_left(ids, room, kept)) for ids in encoded]

    def _run(
        self,
        rows: list[list[int]],
        max_new_tokens: int,
        stop_ids: tuple[int, ...],
    ) -> NDArray[np.int32]:
        """Tokens `[B, S]` of prompts and what follows them."""
        length = compiled_length(max(map(len, rows)) + max_new_tokens)
        length = min(length, self.max_length)
        token_ids = np.zeros((len(rows), length), dtype="int32")
        mask = np.zeros((len(rows), length), dtype=bool)
        for row, ids in enumerate(rows):
            token_ids[row, : len(ids)] = ids
            mask[row, : len(ids)] = True
        inputs = {
            "token_ids": ops.convert_to_tensor(token_ids, "int32"),
            "padding_mask": ops.convert_to_tensor(mask, "bool"),
        }
        sync_part(self.lm)
        function = self._function.get()
        with self._greedy():
            outputs = function(inputs, stop_token_ids=stop_ids)
        return np.asarray(ops.convert_to_numpy(outputs["token_ids"]))

    def _make_function(self) -> Callable[..., Any]:
        with self._greedy():
            return self.lm.make_generate_function()  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def _greedy(self) -> Iterator[None]:
        """The model with a greedy sampler and no compiled function."""
        kept = self.lm.sampler, self.lm.generate_function
        self.lm.sampler, self.lm.generate_function = self._sampler, None
        try:
            yield
        finally:
            self.lm.sampler, self.lm.generate_function = kept

    def _stop_tokens(self, stop: Sequence[str]) -> set[int]:
        """Ids whose text is a stop text alone, once or repeated."""
        repeats = [text * times for text in stop for times in range(1, 9)]
        found = set()
        for text, ids in zip(
            repeats, tokenize(self.tokenizer, repeats), strict=True
        ):
            if len(ids) == 1 and detokenize(self.tokenizer, [ids]) == [text]:
                found.add(ids[0])
        return found


def end_tokens(tokenizer: Any) -> set[int]:
    """Ids that end an answer: the end of text, or of a turn in any family.

    KerasHub's own `generate` knows those of Gemma 3 and Llama 3; pass these
    as its `stop_token_ids` for the others.

    Args:
        tokenizer: a KerasHub tokenizer.

    Returns:
        The ids that the tokenizer has of these.

    Example:

    ```python
    from keras_grow.evaluation.decoding import end_tokens

    end_tokens(lm.preprocessor.tokenizer)
    ```
    """
    names = ("end_token_id", "end_token2_id")
    ends = {getattr(tokenizer, name, None) for name in names}
    ends.update(control_tokens(tokenizer, TURN_ENDS).values())
    return {token for token in ends if token is not None}


def detokenize(tokenizer: Any, ids: Sequence[Sequence[int]]) -> list[str]:
    """Texts of token ids; empty sequences are empty texts."""
    filled = [list(row) for row in ids if len(row)]
    if not filled:
        return [""] * len(ids)
    texts = tokenizer.detokenize(filled)
    if hasattr(texts, "numpy"):  # A tensor of bytes.
        texts = [text.decode("utf-8", "replace") for text in texts.numpy()]
    remaining = iter(texts)
    return [str(next(remaining)) if len(row) else "" for row in ids]


def _before(text: str, stop: Sequence[str]) -> str:
    """The text up to the first stop text in it."""
    ends = [text.find(mark) for mark in stop if mark in text]
    return text[: min(ends)] if ends else text
