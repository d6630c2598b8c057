"""The rows of `router.py` as a page."""

import numpy as np

from keras_grow.comparison.intervals import interval
from keras_grow.comparison.intervals import ratio
from keras_grow.comparison.intervals import resamples

NOTES = """
Gemma 3 270M. Two growths of all blocks, each trained alone on the base:
`french` on captions (Multi30k, `English: ... French:`), `science` on questions
with options (OpenBookQA, ARC). The router reads the mean of a prompt's token
embeddings. It was fitted on 96 prompts per skill and on 200 pieces each of
WikiText and LAMBADA; no prompt in a table was among them.

- `code` is functions of Python's standard library; `french prose` is interface
  strings of 50 letters and more from Django and Sphinx, for want of longer
  French in a pip package; `gsm8k` is the arithmetic.
- Hard negatives are 100 each of the plain captions in both languages, SciQ and
  BoolQ. What the tables show of these kinds is other texts of them; a hundred
  of the `french` prompts hold a caption that is a hard negative by itself.
- Failures: fitted with general text alone, SciQ (a passage and a question, near
  the science skill) goes to `science` one time in four, PIQA one in ten; code
  and arithmetic go there in 2.6% and 1.6%. Of 500, 100% may be 99.3%.
- That features are standardized, and that a skill has a reach, was chosen by
  looking at these kinds of text, except PIQA and HellaSwag, which were added
  afterwards and never looked at before. Without the reach, 73% of the code
  and 61% of the plain English captions stayed with the base.
- The bound on false alarms holds for text like that which was shown. It says
  nothing of kinds that were not.
- Losses are of one growth alone, at scale 1 or at the scale that
  `choose_scale` found for it; `routed` is the router that was fitted without
  hard negatives, with each growth at 1, `routed and dialed` with each at its
  scale. They are of the first `examples` of at most `characters` letters,
  answer and prompt together. Brackets are 95% bootstrap intervals over
  examples, of a change from the base with both halves of an example drawn
  together.
- Routed, one model has both skills whole, and of the other text what stays
  with the base keeps the base's loss. To dial as well costs some of the skill
  and saves where a prompt goes astray, as some of the arithmetic does.
- Failures: without a router each growth at 1 costs most of the other text, the
  science growth most of all the arithmetic, and the French one costs science a
  fifth of its loss. A router fitted without hard negatives sends a little
  arithmetic and code to `science`, which costs the arithmetic a hundredth.
"""


def markdown(rows, skills):
    """What was measured, in tables; what was not is left blank."""
    lines = ["# Two growths, one router", NOTES]
    machine = {**rows.get("machine", {})}
    for name in ("row", "seconds"):
        machine.pop(name, None)
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    for hard in (False, True):
        row = rows.get(f"routes/hard={hard}")
        if row:
            lines += _routes(row, skills, hard)
    lines += _losses(rows, skills)
    for skill in skills:
        row = rows.get(f"dial/{skill}")
        if row:
            lines += ["", f"## The dial of {skill}", ""]
            lines += ["| scale | perplexity | increase |"]
            lines += ["| ---: | ---: | ---: |"]
            start = row["tried"][0][1]
            lines += [
                f"| {scale:g} | {value:.3f} | {value / start - 1:+.2%} |"
                for scale, value in row["tried"]
            ]
            steady = "rose" if row["monotone"] else "did not rise"
            lines += ["", f"Chosen: {row['scale']:g}, for 2% at most. "]
            lines[-1] += f"The perplexity {steady} steadily with the scale."
    return "\n".join(lines) + "\n"


def _routes(row, skills, hard):
    title = "hard negatives as well" if hard else "general text alone"
    reached = [f"{share:.1%}" for share in row["held_out_reached"]]
    names = (*skills, "none")
    lines = ["", f"## Where prompts go, fitted with {title}", ""]
    lines += [
        f"Threshold {row['threshold']:.3f}; in cross-validation "
        f"{row['held_out_false_alarms']:.2%} false alarms (asked for: "
        f"{row['false_alarm']:.2%}), skills reached {', '.join(reached)}.",
        "",
        f"| prompts of | number | {' | '.join(names)} |",
        "| --- | ---: |" + " ---: |" * len(names),
    ]
    for kind, counts in row["routes"].items():
        total = sum(counts.values())
        cells = [f"{counts[name] / total:.1%}" for name in names]
        lines.append(f"| {kind} | {total} | {' | '.join(cells)} |")
    return lines


def _losses(rows, skills):
    kinds = [key.split("/")[2] for key in rows if key.startswith("loss/base/")]
    names = {"base": "base", "routed": "routed"}
    names["routed dialed"] = "routed and dialed"
    names |= {name: f"{name} at 1" for name in skills}
    for name in skills:
        row = rows.get(f"dial/{name}")
        if row:
            names[f"{name} dialed"] = f"{name} at {row['scale']:g}"
    lines = ["", "## Loss, nats per token of the answers", ""]
    lines += ["The base's, and the change from it.", ""]
    lines += [
        f"| prompts of | examples | tokens | {' | '.join(names.values())} |"
    ]
    lines += ["| --- | ---: | ---: |" + " --- |" * len(names)]
    for kind in kinds:
        found = [rows.get(f"loss/{name}/{kind}") for name in names]
        base, sizes = np.array(found[0]["nats"]), np.array(found[0]["tokens"])
        cells = [cell(base, sizes, "{:.3f}")]
        cells += [
            cell(np.array(row["nats"]) - base, sizes, "{:+.3f}") if row else ""
            for row in found[1:]
        ]
        lines.append(
            f"| {kind} | {len(sizes)} | {sizes.sum()} | {' | '.join(cells)} |"
        )
    return lines


def cell(totals, sizes, form):
    """A mean per token with its interval."""
    draws = resamples(len(sizes))
    found = interval(totals.sum() / sizes.sum(), ratio(totals, sizes, draws))
    value, low, high = [form.format(number + 0.0) for number in found]
    return f"{value} [{low}, {high}]"
