"""Blind votes on two answers: whose is better, and how sure that is."""

import dataclasses
import json
import random
from collections.abc import Sequence
from typing import Any

from keras_grow.comparison.metrics import wilson

VOTES = ("left", "right", "equal")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two answers to one row, in an order that the voter does not know.

    `first` and `second` are labels of models; the first model's answer comes
    first in `answers`, and is on the right if `swapped`. `choices` are the keys
    and dials of both. `vote` is "first", "second" or "equal"; empty before.
    """

    prompt: str
    reference: str
    first: str
    second: str
    swapped: bool
    answers: tuple[str, str] = ("", "")
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    choices: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    vote: str = ""

    def voted(self, side: str) -> "Pair":
        """The pair with a vote for a side, one of `VOTES`."""
        if side == "equal":
            return dataclasses.replace(self, vote=side)
        first = (side == "left") != self.swapped
        return dataclasses.replace(self, vote="first" if first else "second")


def next_row(
    rows: Sequence[Any],
    votes: Sequence[dict[str, Any]],
    choices: Sequence[dict[str, Any]],
) -> Any:
    """A row on which these two were not compared, None when none is left."""
    prompts = {
        vote["prompt"]
        for vote in votes
        if all(each in vote["choices"] for each in choices)
    }
    left = [row for row in rows if row.prompt not in prompts]
    return random.choice(left) if left else None


def tally(votes: Sequence[dict[str, Any]]) -> str:
    """What the votes say, for each pair of models, in words."""
    found: dict[frozenset[str], list[dict[str, Any]]] = {}
    for vote in votes:
        pair = frozenset((vote["first"], vote["second"]))
        found.setdefault(pair, []).append(vote)
    lines = []
    for own in found.values():
        first, second = own[0]["first"], own[0]["second"]
        winners = [vote.get(vote["vote"]) for vote in own]
        won, equal = winners.count(second), winners.count(None)
        share = (won + equal / 2) / len(own)
        low, high = wilson(share, len(own))
        lines.append(
            f"{second} against {first}: {won} won, {equal} equal, "
            f"{winners.count(first)} lost. Win rate {share:.0%}, from "
            f"{low:.0%} to {high:.0%} (95%), equal ones counted as half."
        )
    return "\n".join(lines)


def as_jsonl(
    history: Sequence[dict[str, Any]], pairs: Sequence[dict[str, Any]]
) -> str:
    """Questions with their answers, then votes, a line each, as JSON."""
    rows: list[dict[str, Any]] = []
    for item in reversed(history):
        for own in item.values():
            answer = own["answer"]
            rows.append(
                {
                    "kind": "answer",
                    "model": answer["model"],
                    "dials": own["choice"]["dials"],
                    "turns": own["turns"],
                    **own["question"],
                    "answer": answer["text"],
                    "ended": answer["ended"] or answer["state"],
                    "tokens": len(answer["token_ids"]),
                    "drift": list(answer["drift"]),
                }
            )
    rows += [{"kind": "vote", **pair} for pair in pairs]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_markdown(
    history: Sequence[dict[str, Any]], pairs: Sequence[dict[str, Any]]
) -> str:
    """The same for people."""
    parts = ["# Answers\n"]
    for item in reversed(history):
        question = next(iter(item.values()))["question"]
        settings = {k: v for k, v in question.items() if k != "prompt"}
        parts.append(f"## Prompt\n\n{_fenced(question['prompt'])}")
        parts.append(
            f"Settings: `{json.dumps(settings, ensure_ascii=False)}`\n"
        )
        for own in item.values():
            answer = own["answer"]
            drift = answer["drift"]
            said = f", drift {sum(drift) / len(drift):+.2f}" if drift else ""
            parts.append(f"### {answer['model'] or 'No answer'}{said}\n")
            parts.append(_fenced(answer["text"]))
    if pairs:
        parts.append(f"# Blind votes\n\n{tally(pairs)}\n")
    for pair in pairs:
        parts.append(f"## Vote: {pair['vote']}\n\n{_fenced(pair['prompt'])}")
        for name, text in zip(
            ("first", "second"), pair["answers"], strict=True
        ):
            parts.append(f"{name}, {pair[name]}:\n\n{_fenced(text)}")
    return "\n".join(parts)


def _fenced(text: str) -> str:
    """A code block that the text cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}\n"
