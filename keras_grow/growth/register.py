"""`register_family`: add a family of backbones."""

import keras
import keras_hub

from keras_grow.growth.classes import grown_backbone_class
from keras_grow.growth.families import FAMILIES
from keras_grow.growth.families import Family
from keras_grow.growth.families import arguments_of


def register_family(
    family: Family, backbone: keras.Model | None = None
) -> None:
    """Teach keras_grow where the MLPs of another KerasHub family are.

    Args:
        family: the row of data. Register it before you load a saved grown model
            of that family, too. For loading, your own subclass of a known
            backbone needs a row as well, although it grows by the row of its
            parent.
        backbone: a backbone to check the row against now. Defaults to `None`:
            a row that does not fit is refused when a backbone is grown by it.

    Raises:
        TypeError: if the class is not a backbone class, or `backbone` is not an
            instance of it.
        ValueError: if the backbone class is registered already, has no
            argument for the width, or `backbone` lacks an attribute that the
            row names. Nothing is registered.

    Example:

    ```python
    import keras_hub
    import keras_grow

    class MyLlama(keras_hub.models.LlamaBackbone):
        pass

    keras_grow.register_family(
        keras_grow.Family(
            MyLlama,
            up=(
                "_feedforward_gate_dense",
                "_feedforward_intermediate_dense",
            ),
            down="_feedforward_output_dense",
        )
    )
    ```
    """
    cls = family.backbone_cls
    if not issubclass(cls, keras_hub.models.Backbone):
        raise TypeError(
            "Expected a subclass of `keras_hub.models.Backbone`. Received: "
            f"backbone_cls={cls!r}"
        )
    if cls in FAMILIES:
        raise ValueError(
            "Expected a backbone class that is not registered yet. Received: "
            f"{cls.__name__}, which is."
        )
    if family.width not in arguments_of(cls):
        raise ValueError(
            f"Expected `width` to be an argument of {cls.__name__}. Received: "
            f"width={family.width!r}"
        )
    if backbone is not None:
        if not isinstance(backbone, cls):
            raise TypeError(
                f"Expected `backbone` to be a {cls.__name__}. "
                f"Received: {backbone!r} (of type {type(backbone)})"
            )
        family.check(backbone)
    FAMILIES[cls] = family
    grown_backbone_class(cls)
