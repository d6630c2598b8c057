"""Prompts: the fields of each kind of task turned into an `Example`.

Every loader ends here, so that a task reads the same from any source. Answers
begin with a space and end where the line ends.
"""

from collections.abc import Sequence

from keras_grow.tasks.example import Example

ENTAILMENT = (" entails", " neutral")


def winogrande(sentence: str, option1: str, option2: str, gold: int) -> Example:
    """WinoGrande by partial evaluation: what follows the blank is scored.

    Each option fills the blank `_` in the context, and the rest of the sentence
    is the text whose likelihood decides (Trinh and Le, arXiv 1806.02847).
    `gold` is 0 or 1.
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
    """A sentence and its translation (MTNT, captions, interface strings)."""
    return Example(
        f"{source_language}: {source.strip()}\n{target_language}:",
        f" {target.strip()}",
    )


def entailment(premise: str, hypothesis: str, gold: int) -> Example:
    """Whether the premise entails the hypothesis (SciTail).

    `gold` is 0 (entails) or 1 (neutral), SciTail's own order.
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
