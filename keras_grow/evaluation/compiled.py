"""The one place where scoring meets the backend: compiling over a model."""

from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Hashable
from typing import Any
from typing import Generic
from typing import TypeVar

import keras

from keras_grow.evaluation.tokens import bucketed
from keras_grow.growth.in_fit import check_readable
from keras_grow.keras_internals import flatten_layers
from keras_grow.training.lengths import compiles_lengths

T = TypeVar("T")
_KEPT = 16
_PLAIN = (bool, int, float, str, type(None), tuple)


def compile_over(
    function: Callable[..., Any], model: keras.Model
) -> Callable[..., Any]:
    """Compile a function of tensors that reads a model's variables.

    The variables are arguments of what is compiled, not constants in it: values
    that change later, as in training, are seen by the next call. Layers and
    switches are those the model has now. It computes no gradients.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        return _compile_jax(function, model)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(  # type: ignore[no-any-return]
            function, autograph=False, reduce_retracing=True
        )
    if backend == "torch":
        import torch

        # Not inference_mode: a tensor that a layer keeps from here would
        # then be refused by autograd when training goes on.
        return torch.no_grad()(function)  # type: ignore[no-any-return]
    return function


def _compile_jax(
    function: Callable[..., Any], model: keras.Model
) -> Callable[..., Any]:
    """`jax.jit` of `function` with the variables' values as an argument."""
    import jax

    variables = list(model.variables)

    def stateless(values: list[Any], *arrays: Any) -> Any:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arrays)

    compiled = jax.jit(stateless)

    def call(*arrays: Any) -> Any:
        check_readable(model, "Scoring")
        return compiled([variable.value for variable in variables], *arrays)

    return call


def compiled_length(length: int) -> int:
    """The length to pad rows of `length` tokens to.

    One of a few sizes, where each is compiled once; else `length` itself.
    """
    return bucketed(length) if compiles_lengths() else length


class PerState(Generic[T]):
    """Something built from a model, kept for each state of the model.

    A trace freezes everything that is not a variable: which layers there are,
    and their switches, such as `growth_enabled`. So a trace is kept under the
    identity of the model's variables and the plain public attributes of its
    layers, and is used again only where all of these are the same. `key` adds
    switches that the layers do not hold.
    """

    def __init__(
        self,
        model: keras.Model,
        build: Callable[[], T],
        key: Callable[[], Hashable] | None = None,
    ) -> None:
        self.model = model
        self.build = build
        self.key = key
        # The variables are held so that no other can take over their ids.
        self._built: OrderedDict[Hashable, tuple[T, list[Any]]] = OrderedDict()

    def get(self) -> T:
        """What was built for the model's current state, built if need be."""
        state = (trace_state(self.model), self.key() if self.key else None)
        if state not in self._built:
            self._built[state] = (self.build(), list(self.model.variables))
            if len(self._built) > _KEPT:
                self._built.popitem(last=False)
        self._built.move_to_end(state)
        return self._built[state][0]


def trace_state(model: keras.Model) -> Hashable:
    """Everything of a model that a trace freezes, as a hashable value.

    Two traces that may differ have different values.
    """
    attributes = tuple(
        (name, value)
        for layer in flatten_layers(model)
        for name, value in vars(layer).items()
        if not name.startswith("_") and isinstance(value, _PLAIN)
    )
    return tuple(id(variable) for variable in model.variables), attributes
