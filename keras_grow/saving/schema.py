"""What a growth file holds: one schema for writing, reading and refusing.

Nothing here knows Keras or a model. A file is parsed without one; whether it
fits a base is checked in `keras_grow.growth.fits`.
"""

import hashlib
import json
import re
from dataclasses import dataclass

# NumPy does not know bfloat16 until this is imported.
import ml_dtypes  # noqa: F401
import numpy as np

from keras_grow.growth.config import GrowthConfig

FORMAT = "keras_grow.growth"
VERSION = "2"
# `blocks.INDEX.SLOT/GROWTH/VARIABLE`, where a slot may contain dots.
_SLICE = re.compile(r"blocks\.[^/]+/([^/]+)/.+")


@dataclass(frozen=True)
class GrowthFile:
    """The contents of a growth file.

    `family` is the class name of the base backbone, `base` its fingerprint.
    `growths` are oldest first. `beneath` has the fingerprints of growths that
    those in the file were trained on and that the file does not hold. `lora`
    has rank and alpha by the path of a layer.
    """

    family: str
    growths: tuple[GrowthConfig, ...]
    scales: dict[str, float]
    beneath: dict[str, str]
    lora: dict[str, dict[str, float]]
    base: str
    tensors: dict[str, np.ndarray]

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata in the header of the file, checksum included."""
        metadata = {
            "format": FORMAT,
            "version": VERSION,
            "family": self.family,
            "growths": json.dumps([g.to_dict() for g in self.growths]),
            "scales": json.dumps(self.scales),
            "beneath": json.dumps(self.beneath),
            "lora": json.dumps(self.lora),
            "base": self.base,
        }
        return {**metadata, "checksum": checksum(self.tensors, metadata)}


def checksum(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> str:
    """SHA-256 of everything in a growth file."""
    rest = {k: v for k, v in metadata.items() if k != "checksum"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for key in sorted(tensors):
        array = np.ascontiguousarray(tensors[key])
        digest.update(f"{key} {array.dtype} {array.shape}".encode())
        digest.update(array.view(np.uint8).data)
    return digest.hexdigest()


def check_zeros(file: GrowthFile) -> None:
    """Refuse weights that growths made with `init="zeros"` cannot have.

    Every gradient of such a slice is zero, so training leaves it as it is.
    """
    for name, tensor in file.tensors.items():
        growth = growth_of(name, file.growths)
        if growth and growth.init == "zeros" and np.any(tensor):
            raise ValueError(
                'Expected slices of zeros with `init="zeros"`, which training '
                f"cannot change. Received: init='zeros' and `{name}` with "
                'other weights. `init="zero_down"` is a start that learns.'
            )


def growth_of(
    name: str, growths: tuple[GrowthConfig, ...]
) -> GrowthConfig | None:
    """The growth that a tensor of this name belongs to, if any."""
    found = _SLICE.fullmatch(name)
    for growth in growths:
        if found and growth.name == found[1]:
            return growth
    return None
