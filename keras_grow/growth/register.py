"""`register_family`: a further family of backbones."""

from keras_grow.growth.classes import grown_backbone_class
from keras_grow.growth.families import FAMILIES
from keras_grow.growth.families import Family


def register_family(family: Family) -> None:
    """Teach keras_grow where the MLPs of a further KerasHub family sit.

    Args:
        family: the row of data. Register it before a saved grown model of
            that family is loaded, too; and so for a backbone class of your
            own, although it is grown by the row of the class it derives from.

    Raises:
        ValueError: if the backbone class is registered already.

    Example:

    ```python
    import keras_hub
    import keras_grow

    keras_grow.register_family(
        keras_grow.Family(
            keras_hub.models.LlamaBackbone,
            up=(
                "_feedforward_gate_dense",
                "_feedforward_intermediate_dense",
            ),
            down="_feedforward_output_dense",
        )
    )
    ```
    """
    if family.backbone_cls in FAMILIES:
        raise ValueError(
            "Expected a backbone class without a row. Received: "
            f"{family.backbone_cls.__name__}, which is registered already."
        )
    FAMILIES[family.backbone_cls] = family
    grown_backbone_class(family.backbone_cls)
