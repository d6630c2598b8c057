"""Scores of a model."""

from keras_grow.evaluation.callback import EvaluateDuringFit
from keras_grow.evaluation.decoding import end_tokens
from keras_grow.evaluation.generation import exact_match
from keras_grow.evaluation.generation import generate
from keras_grow.evaluation.generation import sacrebleu
from keras_grow.evaluation.likelihood import last_word
from keras_grow.evaluation.likelihood import loglikelihood
from keras_grow.evaluation.likelihood import multiple_choice
from keras_grow.evaluation.likelihood import perplexity
from keras_grow.evaluation.results import ExactMatch
from keras_grow.evaluation.results import LastWord
from keras_grow.evaluation.results import LogLikelihoods
from keras_grow.evaluation.results import MultipleChoice
from keras_grow.evaluation.results import Perplexity
from keras_grow.evaluation.results import Result
from keras_grow.evaluation.results import SacreBleu
from keras_grow.evaluation.sampling import Sampling
from keras_grow.evaluation.scorer import Scorer
from keras_grow.evaluation.stream import Stream
from keras_grow.evaluation.streaming import Streamer
from keras_grow.evaluation.task_metrics import evaluate

__all__ = [
    "EvaluateDuringFit",
    "ExactMatch",
    "LastWord",
    "LogLikelihoods",
    "MultipleChoice",
    "Perplexity",
    "Result",
    "SacreBleu",
    "Sampling",
    "Scorer",
    "Stream",
    "Streamer",
    "end_tokens",
    "evaluate",
    "exact_match",
    "generate",
    "last_word",
    "loglikelihood",
    "multiple_choice",
    "perplexity",
    "sacrebleu",
]
