"""Fake models for the app's tests, with given answers."""

import asyncio
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from keras_grow.app.catalog import Part
from keras_grow.app.catalog import Unavailable
from keras_grow.app.catalog import Writing
from keras_grow.app.owner import Owner


def ended(coroutine):
    """What it returns; browser tests leave a loop in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


class StrawWhole:
    """Answers that are written one word per step, and may then fail."""

    def __init__(self, texts, pieces, error):
        self.texts, self.pieces, self.error = texts, pieces, error
        self.answers = [
            SimpleNamespace(
                text="", token_ids=[], lengths=[], logprobs=[], cut=0,
                finished=None,
            )
            for _ in texts
        ]  # fmt: skip

    is_read = property(lambda self: self.pieces == 0)
    finished = property(lambda self: all(a.finished for a in self.answers))

    def read_piece(self):
        self.pieces -= 1

    def advance(self):
        for answer, text in zip(self.answers, self.texts, strict=True):
            count = len(answer.token_ids) + 1
            if self.error and count == 3:
                raise self.error
            if answer.finished is None:
                answer.text = text[:count]
                answer.token_ids.append(count)
                answer.lengths.append(count)
                answer.logprobs.append(-1.0)
                answer.finished = "length" if count == len(text) else None


class StrawModels:
    """Models by key: some load, some fail or break, some are grown."""

    def __init__(self, texts, pieces=0, error=None):
        self.texts, self.pieces, self.error = texts, pieces, error
        self.owner, self.batches, self.wanted = Owner(), [], {}
        self.cut, self.asked = 0, []
        self.runs = SimpleNamespace(folders=lambda: ["folder"])

    def offered(self):
        return [(f"Name of {key}", key) for key in self.texts]

    def label(self, key):
        return f"Name of {key}"

    def grown(self):
        return {key: key for key in self.texts if key.startswith("grown")}

    def shares_base(self, choice):
        return choice.key in ("base", "grown")

    def needs(self, choice):
        if choice.key not in self.texts:
            raise Unavailable("nobody here", "empty")
        return [choice.key]

    def want(self, key):
        if key not in self.wanted:
            self.wanted[key] = Future()
            if key != "slow":
                self.wanted[key].set_result(None)
        return self.wanted[key]

    def part(self, key):
        return Part("loading", f"Loads {key}.")

    def check(self, key):
        if key == "torn":
            raise Unavailable("did not load")

    def prompt(self, question, turns):
        return question.prompt

    def together(self, choices, prompt, *arguments):
        keys = [choice.key for choice in choices]
        self.batches.append(keys)
        self.asked += choices
        error = self.error if "bad" in keys else None
        texts = [self.texts[key] for key in keys]
        whole = StrawWhole(texts, self.pieces, error)
        for answer in whole.answers:
            answer.cut = self.cut
        return Writing(whole, keys)

    def drift(self, choice, prompt, token_ids, logprobs):
        return [0.5] * len(token_ids)
