"""The ways to train a model that the benchmarks compare.

A case is written `method[+option...]@path`, such as `grow_last10@response` or
`sft+remat@fit`:

    sft             every weight trains
    lora8           KerasHub's `enable_lora(8)`
    grow_all        `grow_model`; also grow_last10, grow_spread10
    growup_all      the same with `strategy="g_freeze_up"`; growup_last10
    mask_all        the same growth the other way: one kernel of twice the
                    width, its old half held by a gradient mask; mask_last10

    +remat          every block under `keras.RematScope`
    +accumulate4    the batch in four parts, with Keras' gradient accumulation
    +int8           frozen weights in int8, by Keras' own quantization

    @fit            KerasHub's `fit`, with logits at every position
    @response       the same with `keras_grow.supervised_logits`
"""

import contextlib
import re
from dataclasses import dataclass

import keras
import keras_hub
from keras import ops
from shapes import SHAPES

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.growth.families import family_of
from keras_grow.growth.trainable import train_only
from keras_grow.keras_internals import replace_sublayer


@dataclass(frozen=True)
class Case:
    """One case, taken apart."""

    method: str
    options: tuple[str, ...]
    path: str

    @classmethod
    def parse(cls, text):
        """Read `method[+option...]@path`."""
        match = re.fullmatch(
            r"(sft|lora\d+|(?:grow|growup|mask)_(?:all|last\d+|spread\d+))"
            r"((?:\+(?:remat|int8|accumulate\d+))*)@(fit|response)",
            text,
        )
        if not match:
            raise ValueError(
                "Expected a case such as `grow_last10+remat@response`. "
                f"Received: {text!r}"
            )
        method, options, path = match.groups()
        return cls(method, tuple(options.split("+")[1:]), path)

    @property
    def accumulate(self):
        """Parts that a batch is trained in."""
        for option in self.options:
            if option.startswith("accumulate"):
                return int(option.removeprefix("accumulate"))
        return 1


def make_model(case, model="gemma3_270m_pip", dtype="float32"):
    """A compiled model that trains as `case` says."""
    with _remat(model) if "remat" in case.options else contextlib.nullcontext():
        lm = _load(model, dtype)
    blocks = family_of(lm.backbone).blocks_of(lm.backbone)
    optimizer = keras.optimizers.Adam
    if case.method.startswith("lora"):
        lm.backbone.enable_lora(int(case.method.removeprefix("lora")))
    elif case.method.startswith("grow"):
        keras_grow.grow_model(
            lm,
            layers=_layers(case.method, len(blocks)),
            strategy=strategy_of(case.method),
        )
    elif case.method.startswith("mask"):
        masks = _widen(lm.backbone, _layers(case.method, len(blocks)))

        def optimizer(*args, **kwargs):
            return MaskedAdam(masks, *args, **kwargs)

    if "int8" in case.options:
        keras_grow.quantize_base(lm)
    accumulate = case.accumulate if case.accumulate > 1 else None
    lm.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=optimizer(1e-5, gradient_accumulation_steps=accumulate),
    )
    if case.path == "response":
        keras_grow.supervised_logits(lm)
    return lm


def strategy_of(method):
    """What a method that grows trains."""
    return "g_freeze_up" if method.startswith("growup") else "g_freeze"


class MaskedAdam(keras.optimizers.Adam):
    """Adam under a gradient mask: entries that it hides do not move."""

    def __init__(self, masks, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.masks = masks

    def apply(self, grads, trainable_variables=None):
        """Apply the gradients where the masks are one."""
        variables = trainable_variables or self._trainable_variables
        masked = [
            gradient * ops.cast(self.masks[variable.path], gradient.dtype)
            for gradient, variable in zip(grads, variables, strict=True)
        ]
        super().apply(masked, trainable_variables)


def _layers(method, blocks):
    """Block indices of `..._all`, `..._last10` or `..._spread10`."""
    which = method.partition("_")[2]
    if which == "all":
        return list(range(blocks))
    count = int(re.sub("[a-z]", "", which))
    if which.startswith("last"):
        return list(range(blocks - count, blocks))
    # The lowest block is among them, so the backward pass has no short way.
    return [round(i * (blocks - 1) / (count - 1)) for i in range(count)]


def _widen(backbone, indices):
    """Double the MLP kernels of some blocks; a mask for each, by path."""
    family = family_of(backbone)
    layers, masks = [], {}
    for index in indices:
        block = family.blocks_of(backbone)[index]
        for slot in family.slots:
            old = getattr(block, slot)
            axis = 0 if slot == family.down else 1
            width = old.kernel.shape[axis]
            with keras.name_scope(block.name):
                shape = list(old.kernel.shape)
                shape[axis] *= 2
                new = keras.layers.EinsumDense(
                    old.equation,
                    (None, shape[1]),
                    dtype=_float32_variables(old.compute_dtype),
                    name=f"{old.name}_wide",
                )
                new.build((None, None, shape[0]))
            scale = 0.5 if axis == 0 else 1.0
            kernel = ops.cast(old.kernel, "float32") * scale
            new.kernel.assign(ops.concatenate([kernel, kernel], axis=axis))
            mask = ops.concatenate([ops.zeros(width), ops.ones(width)])
            masks[new.kernel.path] = ops.expand_dims(mask, 1 - axis)
            replace_sublayer(block, slot, new)
            layers.append(new)
    train_only(backbone, layers)
    return masks


def _float32_variables(compute):
    """Name of the policy that computes in `compute`."""
    return compute if compute == "float32" else f"mixed_{compute}"


def _load(model, dtype):
    if model not in SHAPES:
        lm = load_causal_lm(model, dtype)
        # Token ids go in.
        lm.preprocessor = None
        return lm
    backbone = keras_hub.models.Gemma3Backbone(**SHAPES[model], dtype=dtype)
    return keras_hub.models.Gemma3CausalLM(backbone=backbone, preprocessor=None)


def _remat(model):
    """Recompute the inside of every block in the backward pass."""
    if keras.config.backend() == "tensorflow":
        raise ValueError(
            "Expected JAX or PyTorch: there KerasHub's blocks, which are "
            "called with keyword arguments, work under `keras.RematScope`."
        )
    names = [f"decoder_block_{i}" for i in range(256)]
    return keras.RematScope(mode="list_of_layers", layer_names=names)
