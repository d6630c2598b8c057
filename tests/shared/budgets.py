"""Seconds that the slowest test files may take, per backend.

A third above what they took with two or three workers on two cores, in
November 2026. Nothing fails over them: `tests/conftest.py`
names the files that took longer at the end of a run, and starts the longest
first.
"""

_JAX = {
    "tests/growth/test_every_family.py": 355.0,
    "tests/apps/test_compare_in_browser.py": 135.0,
    "tests/growth/test_grow_model.py": 130.0,
    "tests/evaluation/test_streaming.py": 130.0,
    "tests/test_readme.py": 125.0,
    "tests/export/test_export_real.py": 125.0,
    "tests/growth/test_training.py": 115.0,
    "tests/test_examples.py": 115.0,
    "tests/apps/test_other_tabs_in_browser.py": 105.0,
    "tests/distribution/test_two_processes.py": 95.0,
    "tests/comparison/test_compare_families.py": 90.0,
    "tests/analysis/test_causal_heads.py": 90.0,
    "tests/saving/test_growth_file.py": 85.0,
    "tests/comparison/test_compare.py": 85.0,
    "tests/training/test_supervised_logits.py": 85.0,
    "tests/growth/test_real_model.py": 70.0,
    "tests/apps/test_train_in_browser.py": 70.0,
    "tests/training/test_floatx.py": 70.0,
    "tests/package/test_lazy_import.py": 60.0,
    "tests/test_guides.py": 60.0,
    "tests/apps/test_app_families.py": 60.0,
    "tests/saving/test_saved_loads.py": 55.0,
    "tests/apps/test_kept_in_browser.py": 55.0,
    "tests/distribution/test_eight_devices.py": 50.0,
    "tests/command/test_family_commands.py": 50.0,
    "tests/growth/test_merge.py": 50.0,
    "tests/saving/test_keras_saving.py": 45.0,
    "tests/apps/test_trainings.py": 40.0,
    "tests/training/test_anchored_loss.py": 35.0,
    "tests/apps/test_accessibility_in_browser.py": 35.0,
    "tests/export/test_export_families.py": 35.0,
    "tests/growth/test_dial.py": 35.0,
    "tests/comparison/test_rivals.py": 30.0,
    "tests/growth/test_transformers_checkpoints.py": 30.0,
    "tests/ablations/test_attention_growth.py": 30.0,
    "tests/loading/test_gemma3_gguf.py": 30.0,
    "tests/package/test_wheel.py": 30.0,
    "tests/training/test_anchor.py": 30.0,
    "tests/growth/test_quantize.py": 30.0,
    "tests/saving/test_presets.py": 30.0,
    "tests/training/test_lower_states.py": 30.0,
    "tests/analysis/test_function_vector_families.py": 25.0,
    "tests/analysis/test_function_vectors.py": 15.0,
    "tests/training/test_compiled_states.py": 25.0,
    "tests/ablations/test_block_expansion.py": 25.0,
    "tests/export/test_export_command.py": 25.0,
    "tests/selection/test_rank_update.py": 25.0,
    "tests/selection/test_sources.py": 25.0,
    "tests/package/test_other_systems.py": 25.0,
    "tests/routing/test_router.py": 25.0,
    "tests/export/test_export_gguf.py": 25.0,
    "tests/comparison/test_front_scoring.py": 25.0,
    "tests/export/test_export_transformers.py": 25.0,
    "tests/growth/test_compiled_cost.py": 20.0,
    "tests/apps/test_requests_in_browser.py": 20.0,
    "tests/comparison/test_shares.py": 20.0,
    "tests/growth/test_switch.py": 20.0,
    "tests/evaluation/test_harness.py": 20.0,
    "tests/training/test_optimizers.py": 20.0,
    "tests/evaluation/test_scorer.py": 20.0,
    "tests/saving/test_weights_files.py": 20.0,
    "tests/training/test_length_buckets.py": 20.0,
    "tests/training/test_anchor_variants.py": 15.0,
    "tests/comparison/test_sweeps.py": 15.0,
    "tests/training/test_in_fit.py": 15.0,
    "tests/training/test_first_call.py": 15.0,
    "tests/analysis/test_rank_map.py": 12.0,
}
_TORCH = {
    "tests/comparison/test_compare.py": 135.0,
    "tests/growth/test_grow_model.py": 130.0,
    "tests/saving/test_growth_file.py": 95.0,
    "tests/loading/test_gemma3_270m.py": 75.0,
    "tests/growth/test_every_family.py": 70.0,
    "tests/growth/test_training.py": 60.0,
    "tests/training/test_supervised_logits.py": 50.0,
    "tests/growth/test_real_model.py": 50.0,
    "tests/growth/test_merge.py": 45.0,
    "tests/test_examples.py": 45.0,
    "tests/saving/test_keras_saving.py": 35.0,
    "tests/training/test_anchored_loss.py": 35.0,
    "tests/analysis/test_causal_heads.py": 35.0,
    "tests/selection/test_rank_update.py": 30.0,
    "tests/growth/test_dial.py": 30.0,
    "tests/saving/test_weights_files.py": 30.0,
    "tests/ablations/test_attention_growth.py": 30.0,
    "tests/evaluation/test_streaming.py": 25.0,
    "tests/ablations/test_block_expansion.py": 25.0,
    "tests/training/test_anchor.py": 20.0,
    "tests/growth/test_compiled_cost.py": 20.0,
    "tests/growth/test_switch.py": 20.0,
    "tests/loading/test_gemma3_gguf.py": 20.0,
    "tests/evaluation/test_harness.py": 15.0,
    "tests/comparison/test_sweeps.py": 15.0,
    "tests/growth/test_quantize.py": 15.0,
    "tests/analysis/test_rank_map.py": 12.0,
}
_TENSORFLOW = {
    "tests/ablations/test_attention_growth.py": 170.0,
    "tests/ablations/test_block_expansion.py": 165.0,
    "tests/growth/test_every_family.py": 150.0,
    "tests/growth/test_training.py": 130.0,
    "tests/growth/test_grow_model.py": 130.0,
    "tests/saving/test_growth_file.py": 115.0,
    "tests/growth/test_switch.py": 100.0,
    "tests/growth/test_quantize.py": 95.0,
    "tests/training/test_supervised_logits.py": 75.0,
    "tests/selection/test_rank_update.py": 75.0,
    "tests/comparison/test_compare.py": 75.0,
    "tests/evaluation/test_streaming.py": 65.0,
    "tests/training/test_anchored_loss.py": 60.0,
    "tests/growth/test_merge.py": 55.0,
    "tests/saving/test_keras_saving.py": 50.0,
    "tests/training/test_optimizers.py": 50.0,
    "tests/evaluation/test_harness.py": 45.0,
    "tests/growth/test_real_model.py": 50.0,
    "tests/loading/test_gemma3_gguf.py": 45.0,
    "tests/test_examples.py": 40.0,
    "tests/training/test_first_call.py": 40.0,
    "tests/analysis/test_rank_map.py": 40.0,
    "tests/selection/test_sources.py": 40.0,
    "tests/training/test_floatx.py": 35.0,
    "tests/training/test_compiled_states.py": 25.0,
    "tests/analysis/test_causal_heads.py": 35.0,
    "tests/comparison/test_sweeps.py": 30.0,
    "tests/tasks/test_encode.py": 30.0,
    "tests/growth/test_dial.py": 30.0,
    "tests/training/test_in_fit.py": 30.0,
    "tests/routing/test_router.py": 20.0,
    "tests/evaluation/test_scorer.py": 20.0,
    "tests/saving/test_weights_files.py": 20.0,
    "tests/training/test_anchor.py": 20.0,
    "tests/growth/test_compiled_cost.py": 20.0,
    "tests/tasks/test_datasets.py": 15.0,
    "tests/training/test_families.py": 15.0,
}
BUDGETS = {"jax": _JAX, "torch": _TORCH, "tensorflow": _TENSORFLOW}
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
