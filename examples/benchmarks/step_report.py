"""The figures of `step.py`: summaries, ratios, the report for people."""

import json
import statistics

# ours, theirs, figure, at most (None: a ratio without a goal)
GOALS = [
    ("grow_last10@response", "sft@fit", "step_s", 0.33),
    ("grow_all@response", "sft@fit", "step_s", 0.55),
    ("grow_last10@response", "sft@fit", "peak_gb", 0.52),
    ("grow_all@response", "sft@fit", "peak_gb", 0.60),
    ("grow_last10@response", "mask_last10@response", "step_s", 0.85),
    ("grow_all@response", "mask_all@response", "step_s", 0.85),
    ("grow_last10@response", "lora8@response", "step_s", 1.10),
    *(
        (ours, theirs, figure, None)
        for figure in ("step_s", "peak_gb")
        for ours, theirs in (
            ("sft@fit", "transformers_sft"),
            ("grow_all@response", "transformers_sft"),
            ("grow_last10@response", "transformers_sft"),
            ("grow_last10@response", "peft_lora8"),
        )
    ),
]
# On other backends than JAX the ratios may be so much larger.
SLACK = 1.15
# Bytes of training state, over those of the formula.
STATE = 1.02


def summarize_all(rounds, device, peak_tflops):
    """The figures of every case so far."""
    sft = rounds.get("sft@fit", [{}])[-1].get("formula_flops")
    if sft and "transformers_sft" in rounds:
        # The same products, logits at every position.
        for result in rounds["transformers_sft"]:
            result["formula_flops"] = sft
    return {
        case: summarize(results, device, peak_tflops)
        for case, results in rounds.items()
    }


def summarize(rounds, device, peak_tflops):
    """The figures of one case over all its rounds."""
    failed = [r for r in rounds if "failed" in r]
    if failed:
        return failed[0]
    steps = [second for r in rounds for second in r["steps_s"]]
    last = rounds[-1]
    peak = "device_peak_gb" if device == "gpu" else "host_peak_gb"
    summary = {
        "step_s": min(steps),
        "median_step_s": statistics.median(steps),
        "cpu_s": min(second for r in rounds for second in r["cpu_s"]),
        "compile_s": min(r["first_step_s"] for r in rounds) - min(steps),
        "peak_gb": min(r[peak] for r in rounds),
        **{k: last[k] for k in ("loaded_gb", "state_gb", "losses")},
        **{k: last[k] for k in ("trained_in", "moments_in", "parameters")},
        "device": last["device"],
        "formula_state_gb": last.get("formula_state_gb"),
        "formula_flops": last.get("formula_flops"),
        "rounds": rounds,
    }
    if last.get("formula_flops"):
        rate = last["formula_flops"] / min(steps) / 1e12
        summary["tflops_a_second"] = rate
        if peak_tflops:
            summary["share_of_peak"] = rate / peak_tflops
    return summary


def goals(cases, backend):
    """Every ratio that has a goal, with both of its sides in `cases`."""
    slack = 1.0 if backend == "jax" else SLACK
    rows = []
    for ours, theirs, figure, limit in GOALS:
        sides = [cases.get(name, {}).get(figure) for name in (ours, theirs)]
        if None not in sides:
            ratio = sides[0] / sides[1]
            row = {"ours": ours, "theirs": theirs, "figure": figure}
            limit = limit and limit * slack
            rows.append(row | {"ratio": ratio, "at_most": limit})
    for name, case in cases.items():
        formula = case.get("formula_state_gb")
        if formula:
            row = {"ours": name, "theirs": "the formula", "figure": "state_gb"}
            ratio = case["state_gb"] / formula
            rows.append(row | {"ratio": ratio, "at_most": STATE})
    return rows


def write(report, output):
    """The report as JSON and for people."""
    output.with_suffix(".json").write_text(json.dumps(report, indent=1))
    output.with_suffix(".md").write_text(markdown(report))


def markdown(report):
    """The report for people."""
    lines = ["# Cost of a training step", ""]
    lines += [f"- {k}: {v}" for k, v in report["machine"].items()]
    lines += [f"- {k}: {v}" for k, v in report["settings"].items()]
    cases = [case for run in report["runs"] for case in run["cases"].values()]
    cards = {case["device"] for case in cases if case.get("device")}
    lines += [f"- card: {card}" for card in sorted(cards)]
    lines += ["", "`step s` is the fastest step, with the median beside it."]
    lines += ["FLOPs are those of the formulas of `growth_report`; those of"]
    lines += ["`transformers_sft` are those of `sft@fit`. `in` is the dtype of"]
    lines += ["the trained weights, then that of their moments."]
    for run in report["runs"]:
        base = run["cases"].get("sft@fit", {})
        lines += [
            "",
            f"## {run['model']}, {run['backend']}, {run['tokens']} tokens, "
            f"{run['supervised']} of them supervised",
            "",
            "| case | step s | of SFT's | FLOPs, of SFT's | median s | "
            "processor s | of SFT's | peak GB | of SFT's | compile s | "
            "state GB | share of peak | in |",
            "| --- | " + "---: | " * 11 + "--- |",
        ]
        for name, case in run["cases"].items():
            if "failed" in case:
                lines.append(f"| {name} | {case['failed']} |" + " |" * 11)
                continue
            share = case.get("share_of_peak")
            cells = [
                f"{case['step_s']:.3f}",
                _ratio(case, base, "step_s"),
                _ratio(case, base, "formula_flops"),
                f"{case['median_step_s']:.3f}",
                f"{case['cpu_s']:.3f}",
                _ratio(case, base, "cpu_s"),
                f"{case['peak_gb']:.2f}",
                _ratio(case, base, "peak_gb"),
                f"{case['compile_s']:.1f}",
                f"{case['state_gb']:.3f}",
                f"{share:.1%}" if share else "",
                ", ".join(case["trained_in"] + case["moments_in"]),
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if run["goals"]:
            lines += ["", "| ratio | | goal |", "| --- | ---: | ---: |"]
        for goal in run["goals"]:
            limit = goal["at_most"]
            lines.append(
                f"| {goal['figure']} of {goal['ours']} / {goal['theirs']} | "
                f"{goal['ratio']:.3f} | {f'{limit:.2f}' if limit else ''} |"
            )
    return "\n".join(lines) + "\n"


def _ratio(case, base, figure):
    both = case.get(figure) and base.get(figure)
    return f"{case[figure] / base[figure]:.3f}" if both else ""
