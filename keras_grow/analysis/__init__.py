"""Why it works: rank maps of weight updates, and function vectors."""

from keras_grow.analysis.function_vectors import FunctionVector
from keras_grow.analysis.function_vectors import find_function_vector
from keras_grow.analysis.in_context import InContextTask
from keras_grow.analysis.in_context import built_in_tasks
from keras_grow.analysis.kept_vectors import compare_with_base
from keras_grow.analysis.kept_vectors import kept_table
from keras_grow.analysis.prompts import task_prompts
from keras_grow.analysis.rank_map import RankMap
from keras_grow.analysis.rank_map import effective_rank_map
from keras_grow.analysis.snapshots import KernelSnapshots
from keras_grow.analysis.zero_shot_score import zero_shot

__all__ = [
    "FunctionVector",
    "InContextTask",
    "KernelSnapshots",
    "RankMap",
    "built_in_tasks",
    "compare_with_base",
    "effective_rank_map",
    "find_function_vector",
    "kept_table",
    "task_prompts",
    "zero_shot",
]
