"""What is asked, and what is answered."""

from dataclasses import dataclass
from typing import Any

SAMPLERS = ("greedy", "top-k", "random")
MAX_PROMPT = 4000
MAX_LENGTH = 256
# Lowest and highest: for the page, for links to it and for what is asked.
LIMITS = {
    "temperature": (0.05, 2.0),
    "top_k": (1, 200),
    "length": (1, MAX_LENGTH),
    "seed": (0, 2**31 - 1),
}


@dataclass(frozen=True)
class Question:
    """A prompt and how it is to be answered.

    A ValueError is in words for the visitor. `prompt` is the text to continue,
    or with `chat` the next turn of a chat, whose system turn says `system`.
    `temperature` and `seed` are of the samplers that draw, `top_k` of `"top-k"`
    alone. `length` is the most tokens of an answer, which with `one_line` ends
    with its line. With `drift` each token is compared with the base.
    """

    prompt: str
    sampler: str = "greedy"
    temperature: float = 0.8
    top_k: int = 40
    length: int = 48
    seed: int = 0
    one_line: bool = True
    drift: bool = True
    chat: bool = False
    system: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise ValueError("Write a prompt first.")
        for text in (self.prompt, self.system):
            if len(text) > MAX_PROMPT:
                raise ValueError(
                    f"The prompt has {len(text):,} characters. At most "
                    f"{MAX_PROMPT:,} are read; shorten it."
                )
        if self.sampler not in SAMPLERS:
            raise ValueError(f"Choose a sampler: {', '.join(SAMPLERS)}.")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value <= high:
                words = name.replace("_", "-")
                raise ValueError(
                    f"Choose a {words} from {low} to {high:,}. It is {value}."
                )

    def sampling(self) -> Any:
        """The question's `keras_grow.evaluation.sampling.Sampling`."""
        from keras_grow.evaluation.sampling import Sampling

        if self.sampler == "greedy":
            return Sampling()
        top_k = int(self.top_k) if self.sampler == "top-k" else None
        return Sampling(self.temperature, top_k, int(self.seed))


@dataclass(frozen=True)
class Answer:
    """What one pane shows.

    `state` is "waiting", "writing", "done", "stopped", "empty" or "error";
    `ended` is "end", "stop" or "length", once the answer has ended by itself.
    For each token, `lengths` is how long the text was after it, `logprobs` its
    log-likelihood in nats, and `drift` how much likelier than the base the
    model finds it, in nats; empty where that is not known. `first` is in
    seconds from the question to the first token, `rate` in tokens per second
    from there on, as the visitor saw them. `cut` counts tokens that the prompt
    lost on its left.
    """

    state: str = "waiting"
    text: str = ""
    message: str = ""
    token_ids: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    ended: str = ""
    first: float = 0.0
    rate: float = 0.0
    drift: tuple[float, ...] = ()
    cut: int = 0
    model: str = ""

    @property
    def mean_drift(self) -> float | None:
        """The mean of the drift over the tokens, None where not known."""
        return sum(self.drift) / len(self.drift) if self.drift else None
