"""Examples, and tasks: examples in splits."""

import dataclasses
from typing import NamedTuple

METRICS = (
    "exact_match",
    "final_number",
    "sacrebleu",
    "multiple_choice",
    "last_word",
)


class Turn(NamedTuple):
    r"""One answer of an assistant in the text of a chat.

    Args:
        before: the text since the previous answer. It carries no loss.
        answer: what the assistant says.
        end: what ends the answer, such as `"<end_of_turn>"`. `""` where a
            template writes nothing there.

    Example:
    ```python
    from keras_grow.tasks.example import Turn

    Turn("user: Hello\nassistant:", " Good day.", "\n")
    ```
    """

    before: str
    answer: str
    end: str


@dataclasses.dataclass(frozen=True)
class Example:
    """One prompt with its answer, and choices if there are any.

    The model reads `prompt + response` unchanged: white space between the two
    belongs to the response (`" Paris"`, not `"Paris"`).

    Args:
        prompt: the text that the model is given. It carries no loss.
        response: the text that the model has to write. May be empty.
        choices: the candidates that multiple choice compares, `response`
            among them. Defaults to `()`: no choices.
        gold: index of the right choice. Defaults to `None`: no choices.
        contexts: the context of each choice, where the choices differ in what
            precedes the scored text (WinoGrande). Defaults to `()`: each
            choice is scored after `prompt`.
        turns: the answers of a chat, in order, as `chat_example` makes
            them: `before` (the text since the previous answer, without loss),
            `answer`, `end` (what ends it). All of them train, and the last is
            `response` after `prompt`. Defaults to `()`: no chat.
        source: where the row came from, for messages. Defaults to `""`.

    Raises:
        ValueError: if choices, gold, contexts, turns and response contradict
            each other.

    Example:
    ```python
    from keras_grow.tasks import Example

    Example("The capital of France is", " Paris")
    Example("Is water wet?", " yes", choices=(" yes", " no"), gold=0)
    ```
    """

    prompt: str
    response: str
    choices: tuple[str, ...] = ()
    gold: int | None = None
    contexts: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    source: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.turns and self.turns[-1].answer != self.response:
            raise ValueError(
                "Expected `response` to be the last turn's answer. Received: "
                f"response={self.response!r}, answer={self.turns[-1].answer!r}"
            )
        if not self.choices:
            if self.gold is not None or self.contexts:
                raise ValueError(
                    "Expected `choices` beside `gold` and `contexts`. "
                    f"Received: gold={self.gold}, choices=()"
                )
            return
        if self.gold is None or not 0 <= self.gold < len(self.choices):
            raise ValueError(
                f"Expected `gold` to index the {len(self.choices)} choices. "
                f"Received: gold={self.gold}"
            )
        if self.contexts and len(self.contexts) != len(self.choices):
            raise ValueError(
                f"Expected a context for each of {len(self.choices)} choices. "
                f"Received: {len(self.contexts)} contexts"
            )
        if self.response != self.choices[self.gold]:
            raise ValueError(
                "Expected `response` to be the gold choice. Received: "
                f"response={self.response!r}, choices={self.choices!r}, "
                f"gold={self.gold}"
            )


def text_of(example: Example) -> str:
    """What is read of a row as text: its prompt.

    A row of plain text is an answer without a prompt: its answer.
    """
    return example.prompt or example.response


@dataclasses.dataclass(frozen=True)
class Task:
    """A named set of examples in three splits, with the metric it is for.

    Args:
        name: the task's name.
        train: examples to train on.
        validation: examples to choose settings by.
        test: examples to report on. `()` if a data set withholds the answers of
            its test split.
        metric: `"exact_match"`, `"sacrebleu"`, `"multiple_choice"` or
            `"last_word"`; see `keras_grow.evaluation.evaluate`.
        skipped: a line for each malformed row that was left out.
        duplicates: how many held-out rows were removed because they are also
            training rows.

    Raises:
        ValueError: if `metric` is unknown.

    Example:
    ```python
    from keras_grow.tasks import Example, Task

    task = Task("capitals", train=(Example("France:", " Paris"),))
    len(task.train)  # 1
    ```
    """

    name: str
    train: tuple[Example, ...] = ()
    validation: tuple[Example, ...] = ()
    test: tuple[Example, ...] = ()
    metric: str = "exact_match"
    skipped: tuple[str, ...] = ()
    duplicates: int = 0

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(
                f"Expected `metric` to be one of {METRICS}. "
                f"Received: metric={self.metric!r}"
            )
