"""Memory a device that training a grown Gemma 3 takes, by model and mesh.

    python examples/benchmarks/device_memory.py

No weight is allocated. The figures are weights, gradients and Adam's moments,
the base in bfloat16 and the new slices in float32; activations come on top.
"""

import argparse

import keras
import keras_hub

import keras_grow
from keras_grow.distribution import memory_per_device
from keras_grow.distribution import shapes_only

COMMON = dict(
    vocabulary_size=262144,
    image_size=896,
    use_query_key_norm=True,
    use_post_ffw_norm=True,
    use_post_attention_norm=True,
)
# Blocks, hidden, MLP width, query heads, key-value heads, head size.
SHAPES = {
    "1B": (26, 1152, 6912, 4, 1, 256),
    "4B": (34, 2560, 10240, 8, 4, 256),
    "12B": (48, 3840, 15360, 16, 8, 256),
    "27B": (62, 5376, 21504, 32, 16, 128),
}
MESHES = [(1, 1), (8, 1), (1, 8), (2, 4), (4, 8)]


def backbone_of(shape, dtype):
    """A backbone whose variables have shapes and no values."""
    blocks, hidden, width, heads, kv_heads, size = shape
    with shapes_only():
        return keras_hub.models.Gemma3Backbone(
            num_layers=blocks,
            hidden_dim=hidden,
            intermediate_dim=width,
            num_query_heads=heads,
            num_key_value_heads=kv_heads,
            head_dim=size,
            dtype=dtype,
            **COMMON,
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(SHAPES))
    parser.add_argument("--dtype", default="bfloat16")
    arguments = parser.parse_args()
    head = [f"{batch} x {model}" for batch, model in MESHES]
    print("GB per device | mesh (batch x model): " + " | ".join(head))
    for name in arguments.models:
        shape = SHAPES[name]
        backbone = backbone_of(shape, arguments.dtype)
        blocks = range(shape[0])
        growths = {
            "all blocks": keras_grow.GrowthConfig(2, tuple(blocks)),
            "last 10": keras_grow.GrowthConfig(2, tuple(blocks)[-10:]),
        }
        for label, growth in growths.items():
            figures = []
            for batch, model in MESHES:
                devices = [f"device:{i}" for i in range(batch * model)]
                mesh = keras.distribution.DeviceMesh(
                    (batch, model), ("batch", "model"), devices
                )
                memory = memory_per_device(backbone, mesh, growth)
                figures.append(f"{memory.total / 1e9:.2f}")
            print(f"{name}, {label} | " + " | ".join(figures), flush=True)


if __name__ == "__main__":
    main()
