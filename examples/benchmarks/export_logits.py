"""Every family that exports: are the logits the same on the other side?

    python examples/benchmarks/export_logits.py

Exports a tiny random model of each family, its last block grown, loads what
was written with another library, and writes the largest difference of a logit
into `examples/results/export/logits.md`. The models are those of the tests; the
real one is in `llama_cpp.md`.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_grow.quiet_start import quiet_start

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/shared"))

with quiet_start():
    import tiny_families
    from machine import describe
    from tiny_gguf_tasks import GGUF_FAMILIES
    from tiny_gguf_tasks import gguf_task

    from keras_grow import export_gguf
    from keras_grow import export_transformers
    from keras_grow.export import check
    from keras_grow.loading.gemma3_gguf import load_gemma3_gguf

OUTPUT = ROOT / "examples/results/export/logits.md"


def main():
    machine = describe()
    text = "\n".join(
        [
            "# Logits of every exported family",
            "",
            "Tiny random models in float32, one text of "
            f"{tiny_families.LENGTH} tokens; the last block is grown, with "
            "slices that are no copies. Made by `python "
            "examples/benchmarks/export_logits.py` "
            f"(keras-hub {machine['keras-hub']}, torch {machine['torch']}, "
            f"on {machine['processor']}). The tests hold each row of float32 "
            "to 1e-4. For the real Gemma 3 270M, and llama.cpp itself, see "
            "[llama_cpp.md](llama_cpp.md).",
            "",
            "## transformers",
            "",
            "| family | class there | largest logit | difference, "
            "float32 | difference, bfloat16 weights |",
            "|---|---|---:|---:|---:|",
            *map(transformers_row, tiny_families.BACKBONES),
            "",
            "## GGUF",
            "",
            "| family | read by | largest logit | difference, f32 | "
            "difference, q8_0 |",
            "|---|---|---:|---:|---:|",
            *(row for name in GGUF_FAMILIES for row in gguf_rows(name)),
            "",
        ]
    )
    OUTPUT.write_text(text, "utf-8")
    print(text)


def transformers_row(family):
    model = tiny_families.grown(family)
    ids = tiny_families.tokens()
    ours = check.logits(model, [ids])[0]
    differences = []
    for dtype in ("float32", "bfloat16"):
        with tempfile.TemporaryDirectory() as folder:
            export_transformers(model, folder, dtype)
            theirs = check.load_transformers(folder)
        found = check.transformers_logits(theirs, ids)
        differences.append(f"{np.abs(found - ours).max():.1e}")
    return (
        f"| {family} | {type(theirs).__name__} | "
        f"{np.abs(ours).max():.1f} | {' | '.join(differences)} |"
    )


def gguf_rows(family):
    lm = gguf_task(family)
    # The first ids are those of every vocabulary.
    ids = np.random.default_rng(0).integers(0, 400, tiny_families.LENGTH)
    ours = check.logits(lm, [ids])[0]

    def by_transformers(path):
        return check.transformers_logits(check.load_transformers(path), ids)

    def by_us(path):
        return check.logits(load_gemma3_gguf(path), [ids])[0]

    readers = {"transformers": by_transformers}
    if family == "gemma3":
        readers["keras_grow"] = by_us
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{kind}.gguf" for kind in ("f32", "q8_0")]
        for path in paths:
            export_gguf(lm, path, path.stem)
        for name, read in readers.items():
            differences = [
                f"{np.abs(read(path) - ours).max():.1e}" for path in paths
            ]
            yield (
                f"| {family} | {name} | {np.abs(ours).max():.1f} | "
                f"{' | '.join(differences)} |"
            )


if __name__ == "__main__":
    main()
