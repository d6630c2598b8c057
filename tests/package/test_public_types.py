"""Every public signature has types, and `Any` is not one."""

import inspect
from typing import Any

import pytest

import keras_grow

pytestmark = pytest.mark.no_backend

# A text; and what still takes anything.
UNTYPED = {"GrowableDense", "__version__"}


def signatures(name):
    """The signatures of a public name; of a class, those of its methods."""
    found = getattr(keras_grow, name)
    if not inspect.isclass(found):
        return {name: inspect.signature(found)}
    whole = {name: inspect.signature(found.__init__)}
    for method, value in vars(found).items():
        function = getattr(value, "__func__", value)
        if inspect.isfunction(function) and not method.startswith("_"):
            whole[f"{name}.{method}"] = inspect.signature(function)
    return whole


@pytest.mark.parametrize("name", sorted({*keras_grow.__all__} - UNTYPED))
def test_a_public_signature_has_types(name):
    for where, signature in signatures(name).items():
        for parameter in signature.parameters.values():
            # Layers hand their keywords on to Keras, which has no types.
            if parameter.name in ("self", "cls", "kwargs"):
                continue
            assert parameter.annotation is not parameter.empty, where
            assert parameter.annotation is not Any, f"{where}: {parameter}"
        assert signature.return_annotation is not Any, where
