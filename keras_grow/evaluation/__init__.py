"""Scores of a model."""

from keras_grow.evaluation.callback import EvaluateDuringFit
from keras_grow.evaluation.generation import exact_match
from keras_grow.evaluation.generation import generate
from keras_grow.evaluation.generation import sacrebleu
from keras_grow.evaluation.likelihood import last_word
from keras_grow.evaluation.likelihood import loglikelihood
from keras_grow.evaluation.likelihood import multiple_choice
from keras_grow.evaluation.likelihood import perplexity
from keras_grow.evaluation.sampling import Sampling
from keras_grow.evaluation.scorer import Scorer
from keras_grow.evaluation.streaming import Streamer
from keras_grow.evaluation.task_metrics import evaluate

__all__ = [
    "EvaluateDuringFit",
    "Sampling",
    "Scorer",
    "Streamer",
    "evaluate",
    "exact_match",
    "generate",
    "last_word",
    "loglikelihood",
    "multiple_choice",
    "perplexity",
    "sacrebleu",
]
