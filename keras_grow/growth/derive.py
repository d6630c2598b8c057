"""Classes that derive from the class that an object had before it grew."""

from typing import Any

import keras

from keras_grow.keras_internals import unpickled

PACKAGE = "keras_grow"


def plain_class_of(part: Any) -> Any:
    """The class that a backbone, task or block had before it grew."""
    return getattr(type(part), "plain_class", type(part))


def _reduce(part: Any) -> tuple[Any, ...]:
    """Pickle as Keras does, but not by a grown class, which no module holds."""
    _, *rest = part.plain_class.__reduce__(part)
    return (unpickled(), *rest)


def derive(plain: type, mixin: type) -> type:
    """A class like `plain` with what `mixin` adds."""
    attributes = {
        "__module__": mixin.__module__,
        "__doc__": f"A `{plain.__name__}` that `keras_grow` has grown.",
        "plain_class": plain,
        "__reduce__": _reduce,
    }
    return type(grown_name(plain), (mixin, plain), attributes)


def grown_name(plain: type) -> str:
    """The name of the grown class of `plain`."""
    return f"Grown{plain.__name__}"


def is_registered(cls: type) -> bool:
    """Whether Keras finds a class by its name."""
    return ">" in keras.saving.get_registered_name(cls)


def saved_as(cls: type, other: type) -> type:
    """Save instances of `cls` under the name of `other`, which loads them."""
    package, _, name = keras.saving.get_registered_name(other).rpartition(">")
    if package:
        for registered in (cls, other):
            keras.saving.register_keras_serializable(package, name)(registered)
    return cls
