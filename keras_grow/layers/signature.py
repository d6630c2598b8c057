"""What a weights file says about its growth, to refuse any other."""

import functools
import json
from typing import TYPE_CHECKING
from typing import Any
from typing import NoReturn

import numpy as np

from keras_grow.keras_internals import flatten_layers
from keras_grow.layers.folded_dense import Fold

if TYPE_CHECKING:
    from keras_grow.layers.growable_dense import GrowableDense

_KEY = "growth"


def signature_of(layer: "GrowableDense") -> dict[str, Any]:
    """What the variables of `layer` do not say about its growths."""
    return {
        "slices": [new.name for new in layer.slices],
        "widths": list(layer.slice_widths),
        "base_shares": list(layer.base_shares),
        "scales": list(layer.scales),
        "folds": [
            [new.factor, new.shares]
            for new in layer.slices
            if isinstance(new, Fold)
        ],
    }


def write_signature(layer: "GrowableDense", store: Any) -> None:
    """Write the signature of `layer` beside its weights."""
    text = json.dumps(signature_of(layer))
    store[_KEY] = np.frombuffer(text.encode(), "uint8")


def check_signature(layer: "GrowableDense", store: Any) -> None:
    """Refuse weights of a growth other than that of `layer`."""
    own = json.dumps(signature_of(layer))
    found = "no growth"
    if _KEY in store.keys():  # noqa: SIM118
        found = bytes(np.asarray(store[_KEY], "uint8")).decode()
    if found != own:
        raise ValueError(
            f"Expected weights of the growth that `{layer.path}` has, "
            f"{own}. Received: weights of {found}. Grow the model with the "
            "same arguments, and set the same scales, before loading."
        )


def load_signature(layer: "GrowableDense", store: Any) -> None:
    """Refuse the weights of another growth, those of its slices included.

    Keras notes what a layer refuses, and loads the layers in it all the same.
    """
    parts = [below for new in layer.slices for below in flatten_layers(new)]
    for part in parts:
        vars(part).pop("load_own_variables", None)
    try:
        check_signature(layer, store)
    except ValueError as error:
        refuse = functools.partial(_refuse, str(error))
        for part in parts:
            vars(part)["load_own_variables"] = refuse
        raise


def _refuse(message: str, store: Any) -> NoReturn:
    raise ValueError(message)
