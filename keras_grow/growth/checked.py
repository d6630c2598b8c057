"""What Keras' own methods of a grown model check first."""

import os
from typing import Any

from keras_grow.growth.weights_file import is_read_by_layer
from keras_grow.growth.weights_file import only_checked


class Checked:
    """What a grown model must refuse before Keras changes anything."""

    def load_weights(
        self,
        filepath: str | os.PathLike[str],
        skip_mismatch: bool = False,
        **kwargs: Any,
    ) -> None:
        """Load weights of the same growth; of any other, none at all.

        With `skip_mismatch`, the slices of another growth are skipped.
        """
        model: Any = super()
        if is_read_by_layer(filepath) and not skip_mismatch:
            with only_checked(self):
                model.load_weights(filepath, **kwargs)
        model.load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)
