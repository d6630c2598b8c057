"""The kinds of methods: what each one is. Nothing here needs Keras.

How a kind prepares a model is in `prepare.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A way of teaching a model.

    Attributes:
        words: a short description for people.
        rate: the learning rate to start from. Those of `sft`, `g_freeze` and
            `g_freeze_up` were the best of a few on Gemma 3 270M over 16 to 30
            updates; tune them for your model and task.
        settings: the fields of `Method` that this kind has beside those that
            all kinds have.

    Example:

    ```python
    from keras_grow.comparison import KINDS

    KINDS["g_freeze"].words  # "Grow the MLPs, train what is new (G-Freeze)"
    ```
    """

    words: str
    rate: float = 2e-5
    settings: tuple[str, ...] = ("layers", "factor")

    @property
    def grows_blocks(self) -> bool:
        """Whether a number of blocks to grow can be chosen."""
        # Kinds with targets train layers that are there.
        return "layers" in self.settings and "targets" not in self.settings


KINDS = {
    "sft": Kind(
        "Fine-tune all weights (SFT)", settings=("layers", "targets", "prune")
    ),
    "sft_up": Kind("Fine-tune the up-projections", settings=("prune",)),
    "g_freeze": Kind("Grow the MLPs, train what is new (G-Freeze)"),
    "g_freeze_up": Kind(
        "Grow the MLPs, train new up-projections (G-Freeze-Up)", 1e-4
    ),
    "g_train": Kind("Grow the MLPs, train up-projections (G-Train)"),
    "g_train_unequal": Kind("G-Train with unequal shares"),
    "lora": Kind("LoRA", 5e-4, ("rank", "parameters", "targets")),
    "lora_growth": Kind(
        "Grow the MLPs, and LoRA",
        settings=("layers", "factor", "rank", "parameters"),
    ),
    "zero_new": Kind("Grow the MLPs from zero, train what is new", 1e-4),
    "zero_all": Kind("Grow the MLPs from zero, train all weights"),
    "grow_heads": Kind("Grow attention by heads"),
    "grow_head_dim": Kind("Grow attention by the size of its heads"),
    "grow_mlp_and_heads": Kind("Grow the MLPs and attention"),
    "block_expansion": Kind("Insert blocks", settings=("layers",)),
}
"""The kinds of methods by name.

Each has `words` for people, the learning `rate` to start from, and `settings`,
the fields of `Method` that it has beside those that all kinds have.
"""
# The settings that not every kind has.
SETTINGS = frozenset(name for kind in KINDS.values() for name in kind.settings)
