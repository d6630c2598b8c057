"""The rows of `skills.py` as a page."""

import numpy as np
from router_report import cell

NOTES = """
What each way of having both skills in one Gemma 3 270M costs. The growths, the
router and the examples are those of [the router's report](report.md).

- `SFT on both` trains all weights on the rows of both skills at once: each row
  once, in twice as many updates of 8 rows, half of them of each skill. It needs
  both sets of rows at the same time; every other way trains the skills apart.
- `half of it` keeps half of the change: weights interpolated with the base's
  (WiSE-FT, arXiv 2109.01903).
- `averaged` adds half of each training's change to the base, `added` all of
  both: task arithmetic (Ilharco et al. 2023, arXiv 2212.04089). Of the growths
  that is what the dial does, without a router.
- LoRA is of rank 16 on all linear layers; summed, it is merged.
- `routed` sends each prompt to the training of its skill, or to the base; the
  router is that of the growths. With SFT that takes three whole models; with
  growths, and with LoRA that is not merged, one base.
- `SFT, French, then science` trains the second skill on the model of the first.
- One seed, and one rate for each method: SFT and growths 2e-5, LoRA 5e-4. In
  [the comparison](../README.md), at 300 updates, SFT does as well on the new
  task at 2e-5 as at its best rate, to 0.003 nats. LoRA at 5e-4 is 0.012 behind
  its best, 1e-3, on captions; on science questions no other rate was tried.
- Brackets are 95% bootstrap intervals over examples, of a change from the base
  with both halves of an example drawn together.
"""


def markdown(rows, ways):
    """What was measured, in a table; what was not is left blank."""
    kinds = [key.split("/")[2] for key in rows if key.startswith("loss/base/")]
    lines = ["# Two skills in one model", NOTES]
    lines += ["## Loss, nats per token of the answers", ""]
    lines += ["The base's, and the change from it.", ""]
    lines += [f"| | {' | '.join(kinds)} |"]
    lines += ["| --- |" + " --- |" * len(kinds)]
    for way in ("base", "routed", *ways):
        cells = [_cell(rows, way, kind) for kind in kinds]
        title = "growths, routed" if way == "routed" else way
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += ["", "## Routed growths less each other way", ""]
    lines += [
        "The same losses with examples paired: below 0, growths are ahead."
    ]
    lines += ["", f"| | {' | '.join(kinds)} |"]
    lines += ["| --- |" + " --- |" * len(kinds)]
    for way in ways:
        cells = [_ahead(rows, way, kind) for kind in kinds]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _ahead(rows, way, kind):
    row, routed = rows.get(f"loss/{way}/{kind}"), rows[f"loss/routed/{kind}"]
    if row is None:
        return ""
    nats = np.array(routed["nats"]) - np.array(row["nats"])
    return cell(nats, np.array(row["tokens"]), "{:+.3f}")


def _cell(rows, way, kind):
    row, base = rows.get(f"loss/{way}/{kind}"), rows[f"loss/base/{kind}"]
    if row is None:
        return ""
    nats, sizes = np.array(row["nats"]), np.array(base["tokens"])
    if way == "base":
        return cell(nats, sizes, "{:.3f}")
    return cell(nats - np.array(base["nats"]), sizes, "{:+.3f}")
