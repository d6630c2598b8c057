"""A task of letters, and a tokenizer of one token a word for it."""

from keras_grow.analysis import InContextTask

LETTERS = "abcdefghijklmnop"
UPPER = InContextTask("upper", tuple((x, x.upper()) for x in LETTERS))


class Words:
    """A tokenizer of one token a word; two examples are 12 tokens in all."""

    pad_token_id, start_token_id = 0, 2
    words = ["Q:", "A:", *LETTERS, *LETTERS.upper()]

    def __call__(self, texts):
        return [[4 + self.words.index(w) for w in t.split()] for t in texts]
