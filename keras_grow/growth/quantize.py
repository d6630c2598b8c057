"""`quantize_base`: the frozen weights in a quarter of their memory."""

from collections.abc import Sequence

import keras

from keras_grow.growth.compiled import reset_compiled
from keras_grow.growth.in_fit import check_not_in_fit
from keras_grow.growth.state import ModelState
from keras_grow.growth.state import check_only_mlps
from keras_grow.keras_internals import flatten_layers
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.layers.int8 import quantized_layers

WITH_KERNEL = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Embedding,
)


def quantize_base(model: keras.Model, mode: str = "int8") -> keras.Model:
    """Store the frozen weights in int8, with Keras' own quantization.

    Kernels and embedding of the base become int8 with one scale per column; new
    slices, LoRA kernels and norms stay in float. Inputs of the layers stay in
    float too (Keras' `quantize("int8")` would round them as well, and a rounded
    input of the output head has no gradient), so growth trains on top as it
    does on a float base. The int8 base differs from the float base by rounding.

    The model can be grown before or after, and once it is grown it can be
    saved in any way. (KerasHub's config of a model that is not grown does not
    say that inputs stay in float: save the float model.) A growth file that
    is saved from an int8 base loads on the same base in int8.

    Args:
        model: a KerasHub task or backbone, grown or not.
        mode: `"int8"`.

    Returns:
        `model`, changed in place. If it was compiled it stays so, with a new
        optimizer of the same settings.

    Raises:
        ValueError: if `mode` is not `"int8"`, the model is quantized already,
            or a grown down-projection has a bias or an activation.
        RuntimeError: on the PyTorch backend.

    Example:

    ```python
    keras_grow.grow_model(lm, layers=10)
    keras_grow.quantize_base(lm)
    lm.fit({"prompts": ["2 + 2 ="], "responses": [" 4"]})
    ```
    """
    state = ModelState.of(model)
    backbone = state.backbone
    check_not_in_fit(model, "quantize_base")
    check_only_mlps(backbone)
    if keras.config.backend() == "torch":
        # Its `EinsumDense` lays out the scale of the kernel twice there.
        raise RuntimeError(
            "Expected the JAX or TensorFlow backend: on PyTorch, Keras' int8 "
            "layers fail in the backward pass when their inputs stay in "
            "float. Received: backend='torch'. Use bfloat16 there."
        )
    if mode != "int8":
        raise ValueError(
            'Expected `mode="int8"`, the one in which gradients pass through '
            f"Keras' quantized layers and head. Received: mode={mode!r}"
        )
    quantized = quantized_layers(backbone)
    if quantized:
        raise ValueError(
            "Expected a model in float. Received: "
            f"{len(quantized)} quantized layers, such as `{quantized[0].path}`"
        )
    grown = state.grown_layers
    check_plain_downs(grown)
    slices = {
        id(part)
        for layer in grown
        for new in layer.slices
        for part in flatten_layers(new)
    }
    backbone.quantize(
        config=keras.quantizers.Int8QuantizationConfig(
            activation_quantizer=None
        ),
        mode="int8",
        filters=lambda layer: (
            isinstance(layer, WITH_KERNEL)
            and id(layer) not in slices
            and not getattr(layer, "lora_enabled", False)
        ),
    )
    reset_compiled(model)
    return model


def check_plain_downs(grown: Sequence[GrowableDense]) -> None:
    """Refuse grown down-projections whose int8 product would not be theirs."""
    for layer in grown:
        base = layer.base
        linear = base.activation in (None, keras.activations.linear)
        if layer.grows == "input" and not (base.bias is None and linear):
            raise ValueError(
                "Expected down-projections without bias and activation, which "
                "come after the slices and not in the quantized product. "
                f"Received: `{base.path}`"
            )
