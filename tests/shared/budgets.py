"""Seconds that the slowest test files may take, per backend.

With two workers on two cores. Nothing fails over them: `tests/conftest.py`
names the files that took longer at the end of a run, and starts the longest
first.
"""

_JAX = {
    "tests/growth/test_grow_model.py": 130.0,
    "tests/apps/test_compare_in_browser.py": 90.0,
    "tests/distribution/test_eight_devices.py": 70.0,
    "tests/apps/test_other_tabs_in_browser.py": 60.0,
    "tests/growth/test_training.py": 60.0,
    "tests/test_guides.py": 60.0,
    "tests/training/test_supervised_logits.py": 50.0,
    "tests/test_examples.py": 45.0,
    "tests/comparison/test_compare.py": 45.0,
    "tests/training/test_anchored_loss.py": 35.0,
    "tests/saving/test_growth_file.py": 35.0,
    "tests/apps/test_train_tab.py": 35.0,
    "tests/analysis/test_causal_heads.py": 35.0,
    "tests/ablations/test_attention_growth.py": 30.0,
    "tests/ablations/test_block_expansion.py": 25.0,
    "tests/training/test_anchor.py": 20.0,
    "tests/growth/test_compiled_cost.py": 20.0,
    "tests/growth/test_switch.py": 20.0,
    "tests/models/test_gemma3_gguf.py": 20.0,
    "tests/evaluation/test_streaming.py": 15.0,
    "tests/evaluation/test_harness.py": 15.0,
    "tests/comparison/test_sweeps.py": 15.0,
    "tests/growth/test_quantize.py": 15.0,
    "tests/growth/test_merge.py": 12.0,
    "tests/analysis/test_rank_map.py": 12.0,
}
# No slower there than where the programs are compiled.
BUDGETS = {"jax": _JAX, "torch": _JAX, "tensorflow": _JAX}
# A file without a budget of its own.
REST = 10.0


def budget(backend: str, file: str) -> float:
    """Seconds that `file`, a path from the root, may take."""
    return BUDGETS[backend].get(file, REST)


def over_budget(
    backend: str, seconds: dict[str, float]
) -> list[tuple[str, float, float]]:
    """Files that took longer than their budget: name, seconds, budget."""
    return sorted(
        (
            (file, took, budget(backend, file))
            for file, took in seconds.items()
            if took > budget(backend, file)
        ),
        key=lambda row: row[2] - row[1],
    )
