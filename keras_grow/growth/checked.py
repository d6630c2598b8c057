"""What Keras' own methods of a grown model check first."""

import functools
import os
from collections.abc import Callable
from typing import Any

from keras_grow.growth.quantize import check_plain_downs
from keras_grow.growth.state import ModelState
from keras_grow.growth.state import growths_of
from keras_grow.growth.weights_file import is_read_by_layer
from keras_grow.growth.weights_file import only_checked


class Checked:
    """What a grown model must refuse before Keras changes anything."""

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keras' own, which empties an old file before it asks for a config."""
        model: Any = self
        model.get_config()
        super().save(*args, **kwargs)  # type: ignore[misc]

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

    @property
    def quantize(self) -> Callable[..., None]:
        """Keras' own, for the forms in which growths can stay on the base.

        Keras gives it to every object when it makes it, so that a method of a
        class that the object gets later would not be called.
        """
        model: Any = super()
        own = vars(self).get("quantize", None) or model.quantize
        return functools.partial(_quantize, self, own)

    @quantize.setter
    def quantize(self, own: Callable[..., None]) -> None:
        vars(self)["quantize"] = own


def _quantize(
    model: Any,
    own: Callable[..., None],
    mode: str | None = None,
    config: Any = None,
    **kwargs: Any,
) -> None:
    """Quantize a model by its own method, unless that breaks a growth."""
    wanted = mode or getattr(config, "mode", None)
    if growths_of(model) and wanted is not None:
        if wanted != "int8":
            raise ValueError(
                'Expected `mode="int8"` for a grown model: other forms change '
                "the shape of the kernels that the slices lie beside. "
                f"Received: mode={wanted!r}. Use `keras_grow.quantize_base`, "
                "or merge the growths with `keras_grow.merge_growth` and "
                "quantize the result."
            )
        check_plain_downs(ModelState.of(model).grown_layers)
    own(mode, config=config, **kwargs)
