"""Methods of a user's own task class that the steps here would skip."""

from typing import Any

# For each method, the packages whose own implementation is known.
_METHODS = {
    "__call__": ("keras", "keras_hub"),
    "call": ("keras",),
    "stateless_call": ("keras",),
    "compute_loss": ("keras",),
    "stateless_compute_loss": ("keras",),
    "compute_loss_and_updates": ("keras",),
    "compute_metrics": ("keras",),
    "train_step": ("keras",),
    "test_step": ("keras",),
    # A grown class compiles each state of its growths.
    "make_train_function": ("keras", "keras_grow"),
    "make_test_function": ("keras", "keras_grow"),
}


def check_not_overridden(lm: Any) -> None:
    """Refuse a model with its own training path.

    Its class, or the object itself, overrides a method that is replaced, or
    that would receive hidden states in place of logits.
    """
    for name, known in _METHODS.items():
        owner = next(
            (cls for cls in type(lm).__mro__ if name in vars(cls)), None
        )
        if name in vars(lm):
            where = "the model itself"
        elif owner is None or owner.__module__.split(".")[0] in known:
            continue
        else:
            where = f"`{owner.__module__}.{owner.__qualname__}`"
        raise ValueError(
            "`supervised_logits` trains without the logits that no loss reads, "
            f"so it cannot call a `{name}` that is not Keras' own. Received: "
            f"`{name}` overridden in {where}. Train this model with plain "
            "`fit`, or move what it adds into the loss, into "
            "`weighted_metrics`, or into a layer's `add_loss`."
        )
