"""Move an existing model to the devices of a distribution."""

from typing import Any

import keras

from keras_grow.growth.compiled import models_in
from keras_grow.growth.compiled import reset_compiled
from keras_grow.keras_internals import given_metrics
from keras_grow.keras_internals import set_layout


def distribute(model: keras.Model, distribution: Any) -> keras.Model:
    """Move the weights of a model to the devices of a distribution.

    A model made inside `distribution.scope()`, or after
    `keras.distribution.set_distribution`, is there already. For a model made
    earlier, this lays out the weights as the distribution says and discards
    compiled functions. The optimizer's moments start at zero. Also set the
    distribution, so that `fit` splits its batches.

    Args:
        model: a task or a backbone, grown or not.
        distribution: a `keras.distribution.ModelParallel` or `DataParallel`.

    Returns:
        `model`.

    Raises:
        RuntimeError: on backends other than JAX, the one on which Keras
            distributes.

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
    variables = list(model.variables)
    for part in models_in(model):
        for metric in [*part.metrics, *given_metrics(part)]:
            variables += metric.variables
    for variable in variables:
        set_layout(variable, distribution)
        variable.assign(variable.value)
    with distribution.scope():
        reset_compiled(model)
    return model
