"""How the report states what an old skill lost."""

import json

import pytest

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison.report import write_report

pytestmark = pytest.mark.no_backend

DETAILS = {
    "new/loss": {"metric": "loss", "n": 4},
    "old/winogrande": {"metric": "accuracy", "n": 4},
    "old/text": {"metric": "perplexity", "n": 4},
}


@pytest.mark.parametrize(
    ("perplexity", "told"),
    [(13.0, "(+4.0%)"), (12.0, "(-4.0%)"), (125.0, "(10 times)")],
)
def test_losses_are_in_points_or_in_percent_of_a_perplexity(
    perplexity, told, tmp_path
):
    plan = Plan("model", "task", (Method("sft", "sft", 1e-5),), updates=1)
    (tmp_path / "plan.json").write_text(plan.to_json(), "utf-8")
    rows = [
        {
            "method": "sft",
            "seed": 0,
            "step": step,
            "scores": dict(zip(DETAILS, scores, strict=True)),
            "details": DETAILS,
            "seconds_a_step": 1.0,
        }
        for step, scores in [
            (0, (2.0, 0.5, 12.5)),
            (1, (1.0, 0.25, perplexity)),
        ]
    ]
    (tmp_path / "results.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), "utf-8"
    )
    (tmp_path / "sft-seed0").mkdir()
    (tmp_path / "sft-seed0/done.json").write_text(
        json.dumps(
            {
                "learning_rate": 1e-5,
                "trainable_parameters": 5,
                "seconds": 1.0,
                "peak_bytes": 10**9,
            }
        ),
        "utf-8",
    )
    (line,) = (
        line
        for line in write_report(tmp_path).read_text("utf-8").splitlines()
        if line.startswith("| sft |")
    )
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[2:5] == ["1", "0.25 (-25.0)", f"{perplexity:.4g} {told}"]
