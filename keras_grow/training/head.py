"""From a task's hidden states to its logits, at chosen positions.

A KerasHub `CausalLM` is a functional model: its backbone, then a tied or untied
embedding, a `Dense`, a soft cap, whatever the family has. Everything after the
backbone is run here as in the task's own graph, so the logits are the task's
for every family.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_grow.keras_internals import history_of
from keras_grow.layers.int8 import weights_only


class OutputHead:
    """What a causal language model does with its backbone's output.

    `hidden` is the symbolic output of the backbone in `lm`.
    """

    def __init__(self, lm: Any) -> None:
        hidden, operations = _behind_backbone(lm)
        self.layers = [
            operation
            for operation in operations
            if isinstance(operation, keras.layers.Layer)
        ]
        self.vocabulary_size = int(lm.outputs[0].shape[-1])
        self._function = keras.Function(hidden, lm.outputs[0])
        self.hidden = hidden

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """Of every layer of the head, each once."""
        return _once(self.layers, "trainable_variables")

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """Of every layer of the head, each once."""
        return _once(self.layers, "non_trainable_variables")

    def __call__(self, hidden: Any) -> Any:
        """Logits `(positions, vocabulary)` of states `(positions, hidden)`."""
        return self._function(hidden[None])[0]

    def check_trains(self) -> None:
        """Refuse a head that cannot train at some positions alone.

        Such a head rounds its inputs (Keras' own int8), or gives a position
        logits that depend on other positions, or behind states of a fixed
        number of positions.
        """
        positions = self.hidden.shape[1]
        if positions is not None:
            raise ValueError(
                "Expected a backbone whose hidden states have any number of "
                f"positions. Received: one whose graph fixes {positions}, as "
                "that of Gemma 3 with a vision encoder does. Load the "
                "text-only model, or train this one with plain `fit`."
            )
        for layer in self.layers:
            if not weights_only(layer):
                raise ValueError(
                    "Expected an output head through which gradients pass. "
                    f"Received: `{layer.name}`, quantized to "
                    f"{layer.quantization_mode}, which rounds the inputs of "
                    "the head too. Quantize with "
                    "`keras_grow.quantize_base(lm)` instead."
                )
        width, dtype = self.hidden.shape[-1], self.hidden.dtype
        rng = np.random.default_rng(0)
        states = ops.convert_to_tensor(rng.standard_normal((3, width)), dtype)
        together, alone = [
            ops.convert_to_numpy(ops.cast(self(part), "float32"))
            for part in (states, states[:1])
        ]
        if not np.allclose(together[:1], alone, rtol=0.05, atol=0.05):
            raise ValueError(
                "Expected an output head that is applied at each position by "
                "itself. Received: a head of "
                f"{[layer.name for layer in self.layers]} whose logits at one "
                "position depend on the others."
            )


def _once(layers: list[keras.layers.Layer], name: str) -> list[keras.Variable]:
    found = {id(v): v for layer in layers for v in getattr(layer, name)}
    return list(found.values())


def _behind_backbone(lm: Any) -> tuple[Any, list[Any]]:
    """The backbone's symbolic output in `lm`, and the operations after it."""
    backbone = getattr(lm, "backbone", None)
    outputs = getattr(lm, "outputs", None) or []
    hidden: dict[int, Any] = {}
    operations: dict[int, Any] = {}
    waiting = list(outputs) if backbone is not None else []
    known = len(outputs) == 1
    while waiting:
        tensor = waiting.pop()
        operation, node = history_of(tensor)
        if operation is backbone:
            hidden[id(tensor)] = tensor
            inputs = {id(tensor) for tensor in node.input_tensors}
            known = known and inputs == {id(tensor) for tensor in lm.inputs}
        elif id(operation) not in operations:
            operations[id(operation)] = operation
            waiting.extend(node.input_tensors)
            # An input that bypasses the backbone.
            known = known and not node.is_input
    if not known or len(hidden) != 1 or not operations:
        raise TypeError(
            "Expected a KerasHub CausalLM, a causal language model whose "
            "logits are made from its backbone's hidden states, such as "
            "`keras_hub.models.Gemma3CausalLM`. Received: "
            f"lm={lm!r} of type {type(lm).__name__}"
        )
    return next(iter(hidden.values())), list(operations.values())


def label_log_probs(labels: Any, logits: Any) -> Any:
    """The log-probability of each label, float32 `[positions]`.

    Logits are `[positions, vocabulary]`.
    """
    logits = ops.cast(logits, "float32")
    labels = ops.cast(labels, "int32")[:, None]
    of_labels = ops.take_along_axis(logits, labels, axis=-1)[:, 0]
    return of_labels - ops.logsumexp(logits, axis=-1)
