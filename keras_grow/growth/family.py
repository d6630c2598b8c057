"""A family of models: where the MLP sits in its backbones, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import keras
from keras.layers import Layer


@dataclass(frozen=True)
class Family:
    """One row of data: where the MLPs of a family of backbones are.

    Attributes are named by paths: `"mlp.down_proj"` is an attribute of the
    attribute `mlp`.

    Attributes:
        backbone_cls: the KerasHub backbone class. Its subclasses belong to the
            family, too, unless they have their own row.
        blocks: attribute of the backbone, its list of transformer blocks.
        up: attributes of a block, its up-projections (two if gated).
        down: attribute of a block, its down-projection.
        width: argument of the backbone that sets the width of the MLP.
        attention: attributes of a block, the projections into its attention
            and, last, the one out of it. A block may lack some of them.
            Defaults to none: attention is then neither ranked nor sharded.
        heads: attribute of the backbone, its number of query heads.
        embedding: attribute of the backbone, its token embedding.
        sparsity: attribute of a block, the share of its neurons that a
            threshold over all of them cuts off. Only blocks where it is 0 can
            grow. Defaults to `None`: blocks have no such attribute.
    """

    backbone_cls: type
    blocks: str = "transformer_layers"
    up: tuple[str, ...] = ("gating_ffw", "gating_ffw_2")
    down: str = "ffw_linear"
    width: str = "intermediate_dim"
    attention: tuple[str, ...] = ()
    heads: str = "num_query_heads"
    embedding: str = "token_embedding"
    sparsity: str | None = None

    def blocks_of(self, backbone: keras.Model) -> Sequence[Layer]:
        """The transformer blocks of `backbone`, lowest first."""
        blocks: Sequence[Layer] = attrgetter(self.blocks)(backbone)
        return blocks

    @property
    def slots(self) -> tuple[str, ...]:
        """Attributes of a block that hold its MLP, the down-projection last."""
        return (*self.up, self.down)

    def mlp_of(self, block: Layer) -> list[Any]:
        """The layers of a block's MLP, in the order of `slots`."""
        return [attrgetter(slot)(block) for slot in self.slots]

    def attention_of(self, block: Layer) -> dict[str, Any]:
        """The attention projections that a block has, by slot."""
        found = {slot: at(block, slot) for slot in self.attention}
        return {slot: layer for slot, layer in found.items() if layer}

    def embedding_of(self, backbone: keras.Model) -> Layer:
        """The token embedding of `backbone`."""
        embedding: Layer = attrgetter(self.embedding)(backbone)
        return embedding

    def check(self, backbone: keras.Model) -> None:
        """Check that a backbone has what the row says.

        Raises:
            ValueError: with the first attribute that is missing.
        """
        for path in (self.blocks, self.embedding, self.heads):
            self._check_has(backbone, path, "the backbone")
        blocks = self.blocks_of(backbone)
        for index, block in enumerate(blocks):
            for slot in self.slots:
                self._check_has(block, slot, f"block {index}")
        for slot in self.attention:
            if not any(at(block, slot) for block in blocks):
                self._check_has(blocks[0], slot, "every block")

    def check_block(self, block: Layer, index: int) -> None:
        """Refuse a block whose neurons depend on how many there are.

        Raises:
            ValueError: if the block is sparse.
        """
        if self.sparsity and attrgetter(self.sparsity)(block):
            raise ValueError(
                "Expected blocks with a dense MLP. Received: block "
                f"{index}, which keeps only the neurons above a threshold that "
                f"is taken over all of them (`{self.sparsity}="
                f"{attrgetter(self.sparsity)(block)}`): more neurons would "
                "change its function. Name the dense blocks with `layers`."
            )

    def _check_has(self, owner: Any, path: str, where: str) -> None:
        if at(owner, path) is None:
            raise ValueError(
                f"Expected `{path}` in {where} of a "
                f"{self.backbone_cls.__name__}, as its row of data says. "
                f"Received: {owner!r}, without it. Describe the backbone with "
                "another `keras_grow.Family`."
            )


def at(owner: Any, path: str) -> Any:
    """What a dotted path of attributes leads to, or None."""
    for name in path.split("."):
        owner = getattr(owner, name, None)
    return owner


def holder_of(block: Layer, slot: str) -> tuple[Layer, str]:
    """The layer that holds a slot of a block, and the attribute there."""
    path, _, attribute = slot.rpartition(".")
    return (attrgetter(path)(block) if path else block), attribute
