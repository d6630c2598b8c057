"""The models of the comparison: the base, each method, each share of it."""

import dataclasses
import zlib
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
from token_rows import Rows
from token_rows import inputs_and_labels

from keras_grow import L2SP
from keras_grow import KLAnchor
from keras_grow import add_anchor
from keras_grow import set_growths
from keras_grow import supervised_logits
from keras_grow.comparison import Method
from keras_grow.comparison.interpolation import between
from keras_grow.comparison.pruning import keep_entries
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf_backbone
from keras_grow.training.anchor_variants import replay
from keras_grow.training.anchor_variants import target_masked
from keras_grow.training.token_weights import mask_unlikely

GROWTH = "growth_1"
WARM_UP = 30
CHUNK = 256
SHARES = (0.25, 0.5, 0.75, 1.0)
TASK_ROWS = 2048
HELD = ("anchor", "replay", "self")
# A rate is asked for where a method is made; it is set where it is trained.
_RATE = 1e-5
_LORA: dict[str, Any] = {"kind": "lora", "rank": 16}
_OPTIONS: dict[str, dict[str, Any]] = {
    "sft": {"kind": "sft"},
    "g_freeze": {"kind": "g_freeze"},
    "g_train": {"kind": "g_train"},
    "lora": {**_LORA, "targets": "all"},
    "lora_qv": {**_LORA},
    **{f"g_freeze_{n}": {"kind": "g_freeze", "layers": n} for n in (1, 3, 5)},
    "g_freeze_10": {"kind": "g_freeze", "layers": 10},
    # Rivals. `sft_up` trains what G-Train trains.
    "sft_up": {"kind": "sft_up"},
    "sft_attention": {"kind": "sft", "targets": "attention"},
    "dft": {"kind": "sft", "token_weights": "dft"},
    "stm": {"kind": "sft", "most_perplexity": 2.5},
    "fapm": {"kind": "sft", "prune": "fapm"},
    # What may move a growth's front.
    "g_freeze_up": {"kind": "g_freeze_up"},
    "g_freeze_zero": {"kind": "zero_new"},
    "g_freeze_decay": {"kind": "g_freeze", "decay_to_start": 100.0},
    "g_train_unequal": {"kind": "g_train_unequal"},
}
# Every method also exists with `+anchor`, `+replay` or `+self` behind its
# name, and with a weight behind that.
METHODS = {
    name: Method(name, learning_rate=_RATE, **options)
    for name, options in _OPTIONS.items()
}
# Pruned, a small share of the entries is most of the change.
PRUNED_SHARES = (0.05, 0.1, 0.25, 1.0)


class WarmedAdam(keras.optimizers.Adam):
    """Adam whose rate is a variable times one schedule: warm-up, cosine.

    The rate of a `LearningRateSchedule` is a constant of the compiled step,
    so each rate of a sweep would compile anew.

    Args:
        updates: length of the training.
        warm_up: updates over which the rate rises from zero.
    """

    def __init__(self, updates: int, warm_up: int, **kwargs: Any) -> None:
        super().__init__(learning_rate=1e-5, **kwargs)
        self.updates = updates
        self.warm_up = max(1, min(warm_up, updates // 2))

    def _get_current_learning_rate(self) -> Any:
        step = keras.ops.cast(self.iterations, "float32")
        rise = keras.ops.minimum((step + 1.0) / self.warm_up, 1.0)
        part = (step - self.warm_up) / (self.updates - self.warm_up)
        fall = keras.ops.cos(keras.ops.clip(part, 0.0, 1.0) * np.pi)
        return super()._get_current_learning_rate() * rise * (1 + fall) / 2


def base(path: Path | None) -> keras.Model:
    """Gemma 3 270M from its GGUF; for None a tiny one with random weights."""
    if path is not None:
        backbone = load_gemma3_gguf_backbone(path)
    else:
        keras.utils.set_random_seed(0)
        backbone = keras_hub.models.Gemma3Backbone(
            vocabulary_size=300,
            image_size=None,
            num_layers=2,
            num_query_heads=2,
            num_key_value_heads=1,
            hidden_dim=16,
            intermediate_dim=32,
            head_dim=8,
            use_query_key_norm=True,
            use_post_ffw_norm=True,
            use_post_attention_norm=True,
            sliding_window_size=8,
        )
    return keras_hub.models.Gemma3CausalLM(backbone=backbone, preprocessor=None)


class Trained:
    """A base made ready for one method, which trains many times over.

    Args:
        name: of `METHODS`, with `+anchor`, `+replay` or `+self` behind it or
            not, and a weight behind that or not, as in `+anchor0.3`.
        lm: the base.
        updates: length of a training.
        ranking: blocks, those that SFT moves most first.
        rows: what it trains on.
        passages: token ids of general text.
    """

    def __init__(
        self,
        name: str,
        lm: keras.Model,
        updates: int,
        ranking: list[int],
        rows: dict[str, np.ndarray],
        passages: np.ndarray,
    ) -> None:
        plain, _, held = name.partition("+")
        method = METHODS[plain]
        if isinstance(method.layers, int):
            layers = tuple(sorted(ranking[: method.layers]))
            method = dataclasses.replace(method, layers=layers)
        self.method, self.rows = method, rows
        self.lm = lm = method.prepare(lm)
        self.grown = method.kind.startswith("g_") or method.kind == "zero_new"
        self.shares = PRUNED_SHARES if method.prune else SHARES
        self.optimizer = WarmedAdam(updates, WARM_UP, global_clipnorm=1.0)
        lm.compile(
            optimizer=self.optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[],
        )
        supervised_logits(
            lm, chunk_size=CHUNK, token_weights=method.token_weights
        )
        self.kept = None
        if method.most_perplexity is not None:
            every = inputs_and_labels(rows, slice(None))
            self.kept = mask_unlikely(lm, *every, method.most_perplexity)
        if held:
            add_anchor(lm, self._held(held, rows, passages))
        self.trained = list(lm.trainable_variables)
        self.start = [keras.ops.copy(v.value) for v in self.trained]
        self.optimizer.build(self.trained)
        self.callbacks: list[keras.callbacks.Callback] = []
        if method.decay_to_start:
            self.callbacks.append(L2SP(lm, method.decay_to_start))

    def _held(
        self, held: str, rows: dict[str, np.ndarray], ids: np.ndarray
    ) -> KLAnchor:
        """What holds the model: `anchor0.3` is an anchor of weight 0.3."""
        by = next(name for name in HELD if held.startswith(name))
        options: dict[str, Any] = {
            "weight": float(held.removeprefix(by) or 1.0),
            "top_k": min(64, self.lm.backbone.token_embedding.input_dim),
        }
        if by == "self":
            some = inputs_and_labels(rows, slice(TASK_ROWS))
            return target_masked(self.lm, *some, **options)
        passages = {"token_ids": ids, "padding_mask": np.ones_like(ids, bool)}
        anchor = KLAnchor(passages, **options)
        return replay(self.lm, anchor) if by == "replay" else anchor

    @property
    def parameters(self) -> int:
        """How many numbers train."""
        return sum(int(np.prod(v.shape)) for v in self.trained)

    def reset(self, rate: float, seed: int) -> None:
        """Back to the base, with a fresh optimizer of this rate."""
        if self.grown:
            set_growths(self.lm, GROWTH)
        for variable, value in zip(self.trained, self.start, strict=True):
            if "lora_kernel_a" in variable.path:
                key = zlib.crc32(f"{variable.path}{seed}".encode())
                value = keras.initializers.HeUniform(key)(value.shape)
            # A copy: the training step donates the buffers that it is given.
            variable.assign(keras.ops.copy(value))
        for variable in self.optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        self.optimizer.learning_rate = rate

    def train(self, batch_size: int, seed: int, start: int, stop: int) -> float:
        """Make the updates from `start` to `stop`; their mean training loss."""
        batches = Rows(self.rows, batch_size, seed, start, stop, self.kept)
        # Past the task's preprocessor, which it does not have.
        history = keras.Model.fit(
            self.lm,
            batches,
            shuffle=False,
            verbose=0,
            callbacks=self.callbacks,
        )
        return float(history.history["loss"][-1])

    def state(self, share: float) -> str:
        """What of the model is traced apart at this share."""
        if not self.grown:
            return "base"
        if share and not self.method.kind.startswith("g_train"):
            return "tuned"
        return {0.0: "base", 1.0: "tuned"}.get(share, "between")

    def at(self, share: float, tuned: list[Any]) -> None:
        """Keep this share of the change: the dial, or weights between.

        Weights between the base's and the tuned are WiSE-FT (Wortsman et al.
        2022, arXiv 2109.01903). Of LoRA's two factors only the second, which
        starts from zero, is scaled, so the change of a kernel is. A change
        that is pruned has so many of its entries.
        """
        if self.grown:
            set_growths(self.lm, {GROWTH: share} if share else {})
            return
        keep = keep_entries if self.method.prune else between
        for variable, old, new in zip(
            self.trained, self.start, tuned, strict=True
        ):
            if "lora_kernel_a" not in variable.path:
                if self.method.prune:
                    old, new = np.asarray(old), np.asarray(new)
                variable.assign(keep(old, new, share))
