"""Moving a model that exists to the devices of a distribution."""

from typing import Any

import keras

from keras_grow.growth.compiled import reset_compiled
from keras_grow.keras_internals import set_layout


def distribute(model: keras.Model, distribution: Any) -> keras.Model:
    """Move the weights of a model to where a distribution puts them.

    A model that is made inside `distribution.scope()`, or after
    `keras.distribution.set_distribution`, is there already. This is for one
    that was made before: its weights are laid out as the distribution says,
    and what it had compiled is forgotten. Moments of the optimizer start anew.
    Also set the distribution, so that `fit` splits its batches.

    Args:
        model: a task or a backbone, grown or not.
        distribution: a `keras.distribution.ModelParallel` or `DataParallel`.

    Returns:
        `model`.

    Raises:
        RuntimeError: on other backends than JAX, which Keras distributes on.

    Example:

    ```python
    distribution = keras.distribution.DataParallel()
    keras.distribution.set_distribution(distribution)
    keras_grow.distribution.distribute(lm, distribution)
    ```
    """
    if keras.config.backend() != "jax":
        raise RuntimeError(
            "Expected the JAX backend, the one on which `keras.distribution` "
            "lays out variables. Received: "
            f"backend={keras.config.backend()!r}. Set KERAS_BACKEND=jax."
        )
    for variable in model.variables:
        set_layout(variable, distribution)
        variable.assign(variable.value)
    reset_compiled(model)
    return model
