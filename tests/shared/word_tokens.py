"""A task of letters, and a tokenizer with one token per word for it."""

from keras_grow.analysis import InContextTask

LETTERS = "abcdefghijklmnop"
UPPER = InContextTask("upper", tuple((x, x.upper()) for x in LETTERS))


class Words:
    """A tokenizer with one token per word; two examples have 12 tokens."""

    pad_token_id, start_token_id = 0, 2
    words = ["Q:", "A:", *LETTERS, *LETTERS.upper()]

    def __call__(self, texts):
        return [[4 + self.words.index(w) for w in t.split()] for t in texts]
