"""The models of the comparison: the base, each method, each share of it."""

import zlib
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np

from keras_grow import KLAnchor
from keras_grow import add_anchor
from keras_grow import grow_model
from keras_grow import set_growths
from keras_grow import supervised_logits
from keras_grow.comparison.interpolation import between
from keras_grow.loading import load_gemma3_gguf_backbone

LINEAR = (
    "query",
    "key",
    "value",
    "attention_output",
    "ffw_gating",
    "ffw_gating_2",
    "ffw_linear",
)
ATTENTION_DEFAULT = ("query", "value")
GROWTH = "task"
WARM_UP = 30
CHUNK = 512

# kind, options; every method also exists with the anchor, as `NAME+anchor`.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "sft": ("sft", {}),
    "g_freeze": ("growth", {"strategy": "g_freeze"}),
    "g_freeze_10": ("growth", {"strategy": "g_freeze", "top": 10}),
    "g_train": ("growth", {"strategy": "g_train"}),
    "lora": ("lora", {"rank": 16, "targets": LINEAR}),
    "lora_qv": ("lora", {"rank": 16, "targets": ATTENTION_DEFAULT}),
    **{
        f"g_freeze_{n}": ("growth", {"strategy": "g_freeze", "top": n})
        for n in (1, 3, 5)
    },
}


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


class Rows(keras.utils.PyDataset):
    """Batches of some updates, in an order that the seed alone decides."""

    def __init__(
        self,
        data: dict[str, np.ndarray],
        batch_size: int,
        seed: int,
        start: int,
        stop: int,
    ) -> None:
        super().__init__()
        self.data, self.batch_size = data, batch_size
        count = len(data["ids"])
        rng = np.random.default_rng(seed)
        order = [
            rng.permutation(count)
            for _ in range(1 + stop * batch_size // count)
        ]
        self.order = np.concatenate(order)[start * batch_size :]
        self.length = stop - start

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        at = index * self.batch_size
        rows = self.order[at : at + self.batch_size]
        ids = self.data["ids"][rows]
        places = np.arange(ids.shape[1])
        first, length = (
            self.data[name][rows][:, None] for name in ("first", "length")
        )
        labels = np.roll(ids, -1, axis=1)
        scored = (places >= first - 1) & (places < length - 1)
        x = {"token_ids": ids, "padding_mask": places < length}
        return x, labels, scored.astype(np.float32)


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


class Method:
    """A base made ready for one method, which trains many times over.

    Args:
        name: of `METHODS`, with `+anchor` or `+anchor0.3` behind it or not.
        lm: the base.
        updates: length of a training.
        ranking: blocks, those that SFT moves most first.
        anchor: token ids of general text.
    """

    def __init__(
        self,
        name: str,
        lm: keras.Model,
        updates: int,
        ranking: list[int],
        anchor: np.ndarray,
    ) -> None:
        plain, _, weight = name.partition("+anchor")
        self.kind, options = METHODS[plain]
        options = dict(options)
        self.lm = lm
        if self.kind == "growth":
            self.strategy = options["strategy"]
            top = options.pop("top", None)
            layers = None if top is None else sorted(ranking[:top])
            grow_model(lm, layers=layers, name=GROWTH, **options)
        if self.kind == "lora":
            lm.backbone.enable_lora(options["rank"], list(options["targets"]))
        self.optimizer = WarmedAdam(updates, WARM_UP, global_clipnorm=1.0)
        lm.compile(
            optimizer=self.optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[],
        )
        supervised_logits(lm, chunk_size=CHUNK)
        if "+" in name:
            passages = {
                "token_ids": anchor,
                "padding_mask": np.ones_like(anchor, bool),
            }
            top_k = min(64, lm.backbone.token_embedding.input_dim)
            add_anchor(
                lm,
                KLAnchor(passages, weight=float(weight or 1.0), top_k=top_k),
            )
        self.trained = list(lm.trainable_variables)
        self.start = [keras.ops.copy(v.value) for v in self.trained]
        self.optimizer.build(self.trained)

    @property
    def parameters(self) -> int:
        """How many numbers train."""
        return sum(int(np.prod(v.shape)) for v in self.trained)

    def reset(self, rate: float, seed: int) -> None:
        """Back to the base, with a fresh optimizer of this rate."""
        if self.kind == "growth":
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

    def train(self, rows: Rows) -> float:
        """Make the updates of `rows`; the mean training loss of them."""
        # Past the task's preprocessor, which it does not have.
        history = keras.Model.fit(self.lm, rows, shuffle=False, verbose=0)
        return float(history.history["loss"][-1])

    def state(self, share: float) -> str:
        """What of the model is traced apart at this share."""
        if self.kind != "growth" or (self.strategy == "g_freeze" and share):
            return "tuned" if self.kind == "growth" else "base"
        return {0.0: "base", 1.0: "tuned"}.get(share, "between")

    def at(self, share: float, tuned: list[Any]) -> None:
        """Keep this share of the change: the dial, or weights between.

        Weights between the base's and the tuned are WiSE-FT (Wortsman et al.
        2022, arXiv 2109.01903). Of LoRA's two factors only the second, which
        starts from zero, is scaled, so the change of a kernel is.
        """
        if self.kind == "growth":
            set_growths(self.lm, {GROWTH: share} if share else {})
            return
        for variable, old, new in zip(
            self.trained, self.start, tuned, strict=True
        ):
            if "lora_kernel_a" not in variable.path:
                variable.assign(between(old, new, share))
