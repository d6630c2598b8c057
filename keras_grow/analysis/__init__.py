"""Why it works: rank maps of weight updates, and function vectors."""

from keras_grow.analysis.causal_heads import HeadMeans
from keras_grow.analysis.causal_heads import causal_indirect_effects
from keras_grow.analysis.causal_heads import mean_head_activations
from keras_grow.analysis.function_vectors import FunctionVector
from keras_grow.analysis.function_vectors import find_function_vector
from keras_grow.analysis.function_vectors import function_vector
from keras_grow.analysis.function_vectors import top_heads
from keras_grow.analysis.in_context import InContextTask
from keras_grow.analysis.in_context import built_in_tasks
from keras_grow.analysis.kept_vectors import Kept
from keras_grow.analysis.kept_vectors import compare_with_base
from keras_grow.analysis.kept_vectors import cosine_similarity
from keras_grow.analysis.kept_vectors import kept_table
from keras_grow.analysis.kept_vectors import shared_heads
from keras_grow.analysis.prompts import PromptBatch
from keras_grow.analysis.prompts import TaskPrompts
from keras_grow.analysis.prompts import task_prompts
from keras_grow.analysis.rank_map import RankMap
from keras_grow.analysis.rank_map import effective_rank_map
from keras_grow.analysis.ranks import effective_rank
from keras_grow.analysis.ranks import stable_rank
from keras_grow.analysis.ranks import threshold_rank
from keras_grow.analysis.snapshots import KernelSnapshots
from keras_grow.analysis.zero_shot_score import ZeroShot
from keras_grow.analysis.zero_shot_score import zero_shot

__all__ = [
    "FunctionVector",
    "HeadMeans",
    "InContextTask",
    "Kept",
    "KernelSnapshots",
    "PromptBatch",
    "RankMap",
    "TaskPrompts",
    "ZeroShot",
    "built_in_tasks",
    "causal_indirect_effects",
    "compare_with_base",
    "cosine_similarity",
    "effective_rank",
    "effective_rank_map",
    "find_function_vector",
    "function_vector",
    "kept_table",
    "mean_head_activations",
    "shared_heads",
    "stable_rank",
    "task_prompts",
    "threshold_rank",
    "top_heads",
    "zero_shot",
]
