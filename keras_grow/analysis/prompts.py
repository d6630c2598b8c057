"""Prompts of in-context tasks as token ids: clean, corrupted, zero-shot."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.analysis.in_context import InContextTask
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.start_token import start_token


@dataclass(frozen=True)
class PromptBatch:
    """Prompts as token ids, and the token that should follow each.

    Args:
        token_ids: int array of shape `(prompts, length)`, padded on the right.
        lengths: int array of shape `(prompts,)`, tokens before the padding.
        targets: int array of shape `(prompts,)`, the first token of each
            answer.

    Raises:
        ValueError: if the shapes do not fit.
    """

    token_ids: NDArray[Any]
    lengths: NDArray[Any]
    targets: NDArray[Any]

    def __post_init__(self) -> None:
        """Refuse lengths that are not in the array."""
        if (
            self.token_ids.ndim != 2
            or not self.token_ids.size
            or self.lengths.shape != self.token_ids.shape[:1]
            or self.targets.shape != self.token_ids.shape[:1]
            or self.lengths.min() < 1
            or self.lengths.max() > self.token_ids.shape[1]
        ):
            raise ValueError(
                "Expected `token_ids` of shape (prompts, length), and a "
                "length from 1 to `length` and a target for each prompt. "
                f"Received: token_ids of shape {self.token_ids.shape}, "
                f"lengths={self.lengths}, targets={self.targets}"
            )

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def padding_mask(self) -> NDArray[Any]:
        """Bool array of shape `(prompts, length)`, true where a token is."""
        positions = np.arange(self.token_ids.shape[1])
        mask: NDArray[Any] = positions[None, :] < self.lengths[:, None]
        return mask

    @classmethod
    def encode(
        cls,
        tokenizer: Any,
        prompts: Sequence[str],
        answers: Sequence[str],
    ) -> "PromptBatch":
        """Encode prompts after the start token.

        Args:
            tokenizer: a KerasHub tokenizer.
            prompts: the prompts.
            answers: what should follow each, its leading space included.

        Raises:
            ValueError: if an answer adds no token to its prompt.
        """
        ids = tokenize(tokenizer, prompts)
        texts = [p + a for p, a in zip(prompts, answers, strict=True)]
        wholes = tokenize(tokenizer, texts)
        targets = []
        for prompt, whole, text in zip(ids, wholes, texts, strict=True):
            if len(whole) <= len(prompt):
                raise ValueError(
                    "Expected every answer to add tokens to its prompt. "
                    f"Received: {text!r}"
                )
            targets.append(whole[len(prompt)])
        rows = [[start_token(tokenizer), *row] for row in ids]
        lengths = np.array([len(row) for row in rows])
        token_ids = np.full(
            (len(rows), lengths.max()), tokenizer.pad_token_id, "int32"
        )
        for row, tokens in zip(token_ids, rows, strict=True):
            row[: len(tokens)] = tokens
        return cls(token_ids, lengths, np.array(targets))


@dataclass(frozen=True)
class TaskPrompts:
    """The prompts with which the function vector of a task is found.

    Args:
        clean: prompts whose examples show the task.
        corrupted: the same prompts with the outputs of their examples
            shuffled, so that they show none.
        zero_shot: the same questions with no example.
    """

    clean: PromptBatch
    corrupted: PromptBatch
    zero_shot: PromptBatch


def task_prompts(
    task: InContextTask,
    tokenizer: Any,
    prompts: int = 16,
    shots: int = 5,
    seed: int = 0,
) -> TaskPrompts:
    """Draw prompts of a task, in the format of Todd et al.

    `Q: input`, `A: output` and an empty line per example, then the question
    (arXiv 2310.15213, section 2.1; appendix B of arXiv 2603.08647). A question
    is never among its own examples, and every pair is used once before any is
    used again.

    Args:
        task: the task.
        tokenizer: a KerasHub tokenizer, such as `lm.preprocessor.tokenizer`.
        prompts: number of prompts. Defaults to 16.
        shots: examples per prompt, at least 2. Defaults to 5.
        seed: seed of the draw. Defaults to 0.

    Returns:
        The prompts in three forms, for the same questions: `clean`, whose
        examples show the task; `corrupted`, with the outputs of the examples
        shuffled, so that they show none; `zero_shot`, with no example. Each
        has `token_ids`, padded on the right, `lengths`, and `targets`, the
        first token of each answer.

    Raises:
        ValueError: if the task has too few pairs.

    Example:

    ```python
    from keras_grow.analysis import InContextTask, task_prompts

    task = InContextTask.built_in("antonyms")
    drawn = task_prompts(task, lm.preprocessor.tokenizer)
    ```
    """
    asked_of = Counter(question for question, _ in task.pairs)
    most = len(task.pairs) - max(asked_of.values())
    if prompts < 1 or not 2 <= shots <= most:
        raise ValueError(
            "Expected 1 prompt or more, and from 2 examples per prompt to "
            f"{most}, the pairs that do not ask what the prompt does. "
            f"Received: prompts={prompts}, shots={shots}"
        )
    rng = np.random.default_rng(seed)
    clean, corrupted, zero_shot, answers = [], [], [], []
    asked = rng.permutation(len(task.pairs))
    for number in range(prompts):
        index = asked[number % len(asked)]
        question, answer = task.pairs[index]
        others = rng.permutation(np.delete(asked, number % len(asked)))
        pairs = [task.pairs[i] for i in others if task.pairs[i][0] != question]
        examples = pairs[:shots]
        inputs = [x for x, _ in examples]
        outputs = [y for _, y in examples]
        shuffled = _shuffled(outputs, rng)
        clean.append(_prompt(inputs, outputs, question))
        corrupted.append(_prompt(inputs, shuffled, question))
        zero_shot.append(_prompt([], [], question))
        answers.append(f" {answer}")
    return TaskPrompts(
        *(
            PromptBatch.encode(tokenizer, texts, answers)
            for texts in (clean, corrupted, zero_shot)
        )
    )


def _prompt(inputs: list[str], outputs: list[str], question: str) -> str:
    shown = zip(inputs, outputs, strict=True)
    examples = "".join(f"Q: {x}\nA: {y}\n\n" for x, y in shown)
    return f"{examples}Q: {question}\nA:"


def _shuffled(outputs: list[str], rng: np.random.Generator) -> list[str]:
    """The one of 100 permutations that leaves the fewest outputs in place."""
    draws = [
        [outputs[i] for i in rng.permutation(len(outputs))] for _ in range(100)
    ]
    return min(
        draws,
        key=lambda d: sum(a == b for a, b in zip(d, outputs, strict=True)),
    )
