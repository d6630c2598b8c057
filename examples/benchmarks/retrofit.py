"""What growing Gemma 3 270M costs: seconds, and memory beyond the slices.

Run it as `KERAS_BACKEND=jax python examples/benchmarks/retrofit.py`. The model
has the real shape; its values do not matter here. Prints JSON.
"""

import json
import platform
import resource
import tempfile
import time
from pathlib import Path

import keras
import keras_hub
import numpy as np

import keras_grow
from keras_grow.saving.fingerprint import base_fingerprint

SHAPE = {
    "vocabulary_size": 262144,
    "image_size": 896,
    "num_layers": 18,
    "num_query_heads": 4,
    "num_key_value_heads": 1,
    "hidden_dim": 640,
    "intermediate_dim": 2048,
    "head_dim": 256,
    "use_post_ffw_norm": True,
    "use_post_attention_norm": True,
}


def resident_bytes() -> int:
    """Memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def seconds(function, *arguments) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


backbone = keras_hub.models.Gemma3Backbone(**SHAPE)
peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = resident_bytes()
grow = seconds(keras_grow.grow_model, backbone)
held = resident_bytes() - before
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
new = sum(4 * int(np.prod(w.shape)) for w in backbone.trainable_weights)
base = sum(4 * int(np.prod(w.shape)) for w in backbone.weights) - new
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "x.grow.safetensors"
    save = seconds(keras_grow.save_growth, backbone, path)
    size = path.stat().st_size
print(
    json.dumps(
        {
            "backend": keras.config.backend(),
            "machine": platform.processor() or platform.machine(),
            "grow_seconds": round(grow, 3),
            "slices_gb": new / 1e9,
            "base_gb": base / 1e9,
            "held_after_over_before_gb": held / 1e9,
            "peak_over_resident_before_gb": (max(peak, peak_before) - before)
            / 1e9,
            "peak_rose_by_gb": (peak - peak_before) / 1e9,
            "save_seconds": round(save, 3),
            "file_over_weights": size / new,
            "fingerprint_seconds_a_gb": round(
                seconds(base_fingerprint, backbone) / (base / 1e9), 3
            ),
        },
        indent=2,
    )
)
