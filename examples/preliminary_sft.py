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

from real_comparison import TASKS
from real_comparison import plan

from keras_grow import rank_layers
from keras_grow.analysis import KernelSnapshots
from keras_grow.analysis import effective_rank_map
from keras_grow.comparison import Method
from keras_grow.comparison.method_training import prepare
from keras_grow.tasks import load_task

UPDATES = 24
EVERY = 6
LEARNING_RATE = 5e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    chosen = plan(options.task, options.data)
    sft = Method("sft", "sft", LEARNING_RATE, warmup=5)
    train = load_task(chosen.task).train
    with tempfile.TemporaryDirectory(dir=options.folder) as snapshots:
        training = prepare(chosen, sft, LEARNING_RATE, 0, train)
        training.callbacks.append(
            KernelSnapshots(snapshots, every=EVERY, over="mlp")
        )
        print(f"{UPDATES} updates of SFT", flush=True)
        training.update(0, UPDATES)
        steps = sorted(Path(snapshots).iterdir())
        scores = rank_layers(steps[0], steps[-1])
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
