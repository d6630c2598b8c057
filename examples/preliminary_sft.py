"""Which blocks does fine-tuning change, and how? Figure 5 and section 4.2.

    python examples/preliminary_sft.py french DATA runs/french

A short SFT run on a task of `real_comparison.py`. Writes into the folder

- `layer_scores.json` and `.png`: blocks by the magnitude of their update, for
  `grow_model(lm, layers=LayerScores.load(...).top(10))` and
  `keras-grow compare --layer-counts ... --ranking`;
- `rank_map.json`, `.csv` and `.png`: the effective rank of the change of the
  up-projections between snapshots.

About five minutes on two CPU cores; the snapshots take 1.5 GB of disk and are
removed at the end.
"""

import argparse
import tempfile
from pathlib import Path

import keras
from real_comparison import TASKS
from real_comparison import plan

import keras_grow
from keras_grow.analysis import KernelSnapshots
from keras_grow.analysis import effective_rank_map
from keras_grow.comparison import Plan
from keras_grow.tasks import encode
from keras_grow.tasks import load_task

UPDATES = 24
EVERY = 6
LEARNING_RATE = 5e-5
WARMUP = 5


def fit(chosen: Plan, callbacks: list[keras.callbacks.Callback]) -> None:
    """Fine-tune the whole model on the first batches of a comparison."""
    keras.utils.set_random_seed(0)
    lm = keras_grow.load_causal_lm(chosen.model)
    # A cosine that does not decay: linear warm-up, then a constant.
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=UPDATES,
        alpha=1.0,
        warmup_target=LEARNING_RATE,
        warmup_steps=WARMUP,
    )
    lm.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    keras_grow.supervised_logits(lm)
    rows = encode(
        load_task(chosen.task).train,
        lm.preprocessor.tokenizer,
        chosen.sequence_length,
        chosen.too_long,
    )
    batches = keras_grow.LengthBuckets(
        *rows,
        batch_size=chosen.batch_size,
        group=False,
        updates=(0, UPDATES),
    )
    keras.Model.fit(lm, batches, shuffle=False, verbose=2, callbacks=callbacks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    chosen = plan(options.task, options.data)
    with tempfile.TemporaryDirectory(dir=options.folder) as snapshots:
        print(f"{UPDATES} updates of SFT", flush=True)
        fit(chosen, [KernelSnapshots(snapshots, every=EVERY, over="mlp")])
        steps = sorted(Path(snapshots).iterdir())
        scores = keras_grow.rank_layers(steps[0], steps[-1])
        print(scores, flush=True)
        scores.save(options.folder / "layer_scores.json")
        scores.plot().figure.savefig(options.folder / "layer_scores.png")
        ranks = effective_rank_map(snapshots, over="up")
    ranks.save(options.folder / "rank_map.json")
    ranks.save(options.folder / "rank_map.csv")
    ranks.plot().figure.savefig(options.folder / "rank_map.png")
    for block, row in enumerate(ranks.grid()):
        print(f"block {block:>2}", *(f"{value:8.1f}" for value in row))


if __name__ == "__main__":
    main()
