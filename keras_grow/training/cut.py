"""A causal language model cut in two below one of its blocks."""

from functools import partial
from typing import Any

import keras
from keras.layers import Layer

from keras_grow.growth.ready import check_moves
from keras_grow.growth.ready import check_ready
from keras_grow.growth.state import ModelState
from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import history_of
from keras_grow.training.head import OutputHead

STATES = "hidden_states"
MASK = "padding_mask"


class Cut:
    """Where the unchanging lower part of a causal language model ends.

    Everything below `block`, the lowest that trains, is constant for each row,
    as long as nothing there is random. No states can be kept, and a
    `ValueError` says so, if the embedding or the lowest block trains, a layer
    below has dropout, or the blocks above read more than the states and the
    padding mask. `width` and `dtype` are those of the hidden states that enter
    `block`.
    """

    def __init__(self, lm: Any) -> None:
        # Refuses what is not a causal language model.
        OutputHead(lm).check_trains()
        self.lm = lm
        self.state = ModelState.of(lm)
        self.block = _lowest_that_trains(self.state)
        entered = _entering(self.state, self.block)
        self._states = entered
        self.width = int(entered.shape[-1])
        self.dtype = keras.backend.standardize_dtype(entered.dtype)
        backbone = self.state.backbone
        self._inputs = {tensor.name: tensor for tensor in backbone.inputs}
        _check_crosses(self.state, entered, self._inputs.get(MASK))
        self.lower = keras.Model(self._inputs, entered, name="below_the_cut")
        _check_constant(self.lower)

    def top(self) -> keras.Model:
        """The part above the cut: a model of hidden states and a mask.

        Its layers are those of `lm`, not copies. Its `backbone` is the part of
        `lm`'s backbone.
        """
        inputs = self._new_inputs()
        known = {
            id(self._states): inputs[STATES],
            id(self._inputs[MASK]): inputs[MASK],
        }
        above = keras.Model(
            inputs,
            replay(self.state.backbone.outputs[0], known),
            name="top_backbone",
        )
        inputs = self._new_inputs()
        hidden = OutputHead(self.lm).hidden
        known = {id(hidden): above(inputs)}
        top = _Top(inputs, replay(self.lm.outputs[0], known), name="top")
        top.backbone = above
        # Past the attribute tracking of Keras: the model is no part of its top.
        object.__setattr__(top, "whole", self.state)
        return top

    def _new_inputs(self) -> dict[str, Any]:
        mask = self._inputs[MASK]
        return {
            STATES: keras.Input(
                (None, self.width), dtype=self.dtype, name=STATES
            ),
            MASK: keras.Input((None,), dtype=mask.dtype, name=MASK),
        }


class _Top(keras.Model):
    """The part above a cut, which trains when the whole model could."""

    whole: ModelState

    def make_train_function(self, force: bool = False) -> Any:
        """Refuse a dial with which the newest growth must not train."""
        check_ready(self.whole)
        check_moves(self.optimizer, self.trainable_variables)
        return super().make_train_function(force)


class UntiedHead(Layer):
    """The output half of an untied embedding, without its input table."""

    def __init__(self, embedding: Any) -> None:
        super().__init__(name="untied_head", dtype=embedding.dtype_policy)
        self.reverse_embeddings = embedding.reverse_embeddings
        # A partial, so that Keras does not track the embedding as a sublayer.
        self._logits: Any = partial(embedding.call, reverse=True)
        self.built = True

    def call(self, inputs: Any, reverse: bool = True) -> Any:
        """Logits of hidden states."""
        return self._logits(inputs)


def _without_table(operation: Any, kwargs: dict[str, Any]) -> Any:
    """An operation, or for an untied embedding the half that is called."""
    if (
        isinstance(operation, keras.layers.ReversibleEmbedding)
        and kwargs.get("reverse")
        and not operation.tie_weights
        and operation.quantization_mode is None
    ):
        return UntiedHead(operation)
    return operation


def replay(tensor: Any, known: dict[int, Any]) -> Any:
    """Make a symbolic tensor again, from other inputs.

    `known` has new tensors by the identity of those that they replace; all
    tensors made on the way are added to it. Every operation is called once
    more; of an untied embedding, only its output half.
    """
    if id(tensor) not in known:
        operation, node = history_of(tensor)
        for needed in node.input_tensors:
            replay(needed, known)
        args, kwargs = node.arguments.fill_in(known)
        made = _without_table(operation, kwargs)(*args, **kwargs)
        for old, new in zip(
            node.output_tensors, keras.tree.flatten(made), strict=True
        ):
            known[id(old)] = new
    return known[id(tensor)]


def _lowest_that_trains(state: ModelState) -> int:
    """Index of the lowest block that trains."""
    if state.family.embedding_of(state.backbone).trainable_variables:
        raise ValueError(
            "Expected a model with a frozen embedding, so that what is below "
            "the lowest trained block is constant for each row. Received: "
            f"`{state.backbone.name}`, whose embedding trains. Call "
            "`keras_grow.grow_model(lm, layers=4)` first."
        )
    name = state.training
    if name is not None and not state.scales[name]:
        raise ValueError(
            f"Expected the growth that trains, {name!r}, to be active. "
            f"Received: scales={state.scales}. Call "
            f"`keras_grow.set_growths(lm, {name!r})` first."
        )
    check_ready(state)
    for index, block in enumerate(state.blocks):
        if block.trainable_variables:
            if index:
                return index
            raise ValueError(
                "Expected a model whose lowest blocks are frozen. Received: "
                f"`{state.backbone.name}`, whose block 0 trains: there is "
                "nothing below it to keep. Grow the last blocks alone, as in "
                "`keras_grow.grow_model(lm, layers=4)`."
            )
    raise ValueError(
        "Expected a model with a block that trains. Received: "
        f"`{state.backbone.name}`, in which none trains. Call "
        "`keras_grow.grow_model(lm, layers=4)` first."
    )


def _entering(state: ModelState, index: int) -> Any:
    """The symbolic hidden states that enter a block of the backbone."""
    outputs = list(state.backbone.outputs)
    waiting, seen = outputs[:1], set()
    while waiting:
        tensor = waiting.pop()
        operation, node = history_of(tensor)
        if operation is state.blocks[index]:
            states = [t for t in node.input_tensors if len(t.shape) == 3]
            if len(outputs) == len(states) == 1:
                return states[0]
        if id(tensor) not in seen:
            seen.add(id(tensor))
            waiting.extend(node.input_tensors)
    raise ValueError(
        "Expected a backbone that is a functional model of its blocks, each "
        "of which reads one tensor of hidden states. Received: "
        f"{type(state.backbone).__name__}, where this does not hold for block "
        f"{index}. Train this family with the whole model."
    )


def _check_crosses(state: ModelState, states: Any, mask: Any) -> None:
    """Refuse a graph above the cut that reads more than states and mask."""
    waiting, seen = list(state.backbone.outputs), {id(states), id(mask)}
    others = []
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        _, node = history_of(tensor)
        if node.is_input:
            others.append(tensor.name)
        waiting.extend(node.input_tensors)
    if others or mask is None:
        raise ValueError(
            "Expected a backbone whose upper blocks read the hidden states of "
            "the block below and the padding mask alone, as those of Gemma 3 "
            "for text and of Llama do. Received: "
            f"{type(state.backbone).__name__}, whose upper blocks read "
            f"{sorted(others) or 'no padding mask'} too. Train this family "
            "with the whole model."
        )


def _check_constant(lower: keras.Model) -> None:
    """Refuse layers whose output is random in training."""
    for layer in flatten_layers(lower):
        if _drops_out(layer):
            raise ValueError(
                "Expected lower blocks without dropout: their states are then "
                f"constants. Received: `{layer.name}` with a dropout rate of "
                f"{_drops_out(layer)}. Build the backbone with `dropout=0`."
            )


def _drops_out(layer: Layer) -> float:
    if isinstance(layer, keras.layers.Dropout):
        return float(layer.rate)
    rate = getattr(layer, "dropout", 0)
    return float(rate) if isinstance(rate, int | float) else 0.0
