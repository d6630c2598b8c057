"""Seconds and peak memory of loading Gemma 3 270M into KerasHub, as JSON.

Run it once per backend, as `KERAS_BACKEND=torch python load_gguf.py`. The clock
starts before the first import of a framework; the interpreter's own start
(some 20 ms) is not in it. Peak memory is the process' resident set, as
the operating system counts it, imports included.
"""

import argparse
import json
import resource
import time

START = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", help="another file than the 270M's")
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()

    import keras
    import keras_hub  # noqa: F401

    from keras_grow.loading.gemma3_270m import gemma3_270m_gguf
    from keras_grow.loading.gemma3_gguf import load_gemma3_gguf

    imported = time.perf_counter()
    path = arguments.gguf or gemma3_270m_gguf()
    found = time.perf_counter()
    lm = load_gemma3_gguf(path, dtype=arguments.dtype)
    loaded = time.perf_counter()
    # Linux counts kibibytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                "backend": keras.backend.backend(),
                "dtype": arguments.dtype,
                "parameters": lm.backbone.count_params(),
                "seconds": {
                    "import": round(imported - START, 2),
                    "find_and_check": round(found - imported, 2),
                    "load": round(loaded - found, 2),
                    "total": round(loaded - START, 2),
                },
                # On a busy machine this is the steadier figure.
                "cpu_seconds": round(time.process_time(), 2),
                "peak_rss_gb": round(peak / 1e9, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
