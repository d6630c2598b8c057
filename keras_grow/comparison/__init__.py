"""Methods against each other: same model, data, order and updates."""

from keras_grow.comparison.compare import compare
from keras_grow.comparison.layer_counts import with_layer_counts
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.report import write_report
from keras_grow.comparison.results import read_results
from keras_grow.comparison.run import load_run

__all__ = [
    "Method",
    "Plan",
    "compare",
    "load_run",
    "read_results",
    "with_layer_counts",
    "write_report",
]
