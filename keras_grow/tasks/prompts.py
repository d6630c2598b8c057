"""Prompts: the fields of each kind of task turned into an `Example`.

Every loader ends here, so that a task reads the same from any source. Answers
begin with a space and end where the line ends.
"""

from collections.abc import Sequence

from keras_grow.tasks.example import Example

ENTAILMENT = (" entails", " neutral")


def winogrande(sentence: str, option1: str, option2: str, gold: int) -> Example:
    """WinoGrande by partial evaluation: what follows the blank is scored.

    Each option fills the blank in the context, and the rest of the sentence
    is the text whose likelihood decides (Trinh and Le, arXiv 1806.02847).

    Args:
        sentence: the sentence with `_` where the blank is.
        option1: first filling.
        option2: second filling.
        gold: 0 or 1, the right filling.

    Returns:
        An example with two contexts and the same continuation twice.

    Raises:
        ValueError: if there is no blank.

    Example:
    ```python
    from keras_grow.tasks import prompts

    prompts.winogrande("Ann thanked Bo as _ had helped.", "Ann", "Bo", 1)
    ```
    """
    before, blank, after = sentence.partition("_")
    if not blank:
        raise ValueError(
            "Expected `sentence` to have a blank `_`. "
            f"Received: sentence={sentence!r}"
        )
    contexts = (before + option1, before + option2)
    rest = " " + after.strip()
    return Example(
        prompt=contexts[gold],
        response=rest,
        choices=(rest, rest),
        gold=gold,
        contexts=contexts,
    )


def translation(
    source: str,
    target: str,
    source_language: str = "English",
    target_language: str = "French",
) -> Example:
    """A sentence and its translation (MTNT, captions, interface strings).

    Args:
        source: the sentence to translate.
        target: its translation.
        source_language: name of the source's language. Defaults to English.
        target_language: name of the target's language. Defaults to French.

    Returns:
        An example whose response is the translation.

    Example:
    ```python
    from keras_grow.tasks import prompts

    prompts.translation("Good night.", "Bonne nuit.").response
    ```
    """
    return Example(
        f"{source_language}: {source.strip()}\n{target_language}:",
        f" {target.strip()}",
    )


def entailment(premise: str, hypothesis: str, gold: int) -> Example:
    """Whether the premise entails the hypothesis (SciTail).

    Args:
        premise: a statement taken to be true.
        hypothesis: the statement to be judged.
        gold: 0 (entails) or 1 (neutral), SciTail's own order.

    Returns:
        An example with the choices `" entails"` and `" neutral"`.

    Example:
    ```python
    from keras_grow.tasks import prompts

    prompts.entailment("All birds fly.", "A robin flies.", 0)
    ```
    """
    return Example(
        f"Premise: {premise.strip()}\nHypothesis: {hypothesis.strip()}\n"
        "The premise entails the hypothesis, or is neutral:",
        ENTAILMENT[gold],
        choices=ENTAILMENT,
        gold=gold,
    )


def multiple_choice(
    question: str, choices: Sequence[str], gold: int
) -> Example:
    """A question with its options listed (QASC, MathQA, a user's own).

    The answer is the text of the option, not its letter, so that exact match
    and likelihood look at the same string.

    Args:
        question: the question.
        choices: the options.
        gold: index of the right option.

    Returns:
        An example whose response is the right option's text.

    Example:
    ```python
    from keras_grow.tasks import prompts

    prompts.multiple_choice("2 + 2?", ["3", "4"], 1).response  # " 4"
    ```
    """
    options = [choice.strip() for choice in choices]
    listed = "\n".join(f"- {option}" for option in options)
    answers = tuple(f" {option}" for option in options)
    return Example(
        f"Question: {question.strip()}\nOptions:\n{listed}\nAnswer:",
        answers[gold],
        choices=answers,
        gold=gold,
    )
