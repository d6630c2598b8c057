"""Blocks, layer scores and rank maps of a run, drawn."""

import json
import math
from html import escape
from pathlib import Path
from typing import Any
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors import safe_open

_MAX_JSON = 2_000_000


def growth_of(file: Path) -> dict[str, Any] | None:
    """What a growth file says of itself, or None where it cannot be read.

    That is `factors`, the width factor by grown block; `parameters`, how many
    are new; and `strategy`. Its weights are not read.
    """
    try:
        with safe_open(file, "np") as opened:
            metadata = opened.metadata()
            shapes = [
                opened.get_slice(name).get_shape()
                for name in opened.offset_keys()
            ]
        growths = json.loads(metadata["growths"])
        factors: dict[int, int] = {}
        for growth in growths:
            for block in growth["layers"]:
                factors[block] = factors.get(block, 1) + growth["factor"] - 1
        return {
            "factors": factors,
            "parameters": sum(map(math.prod, shapes)),
            "strategy": growths[-1]["strategy"],
        }
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def blocks(name: str, growth: dict[str, Any], num_blocks: int) -> str:
    """The blocks of a model in order, the grown ones marked.

    `num_blocks` is 0 where it is not known yet.
    """
    factors = growth["factors"]
    count = max(num_blocks, max(factors, default=-1) + 1)
    drawn = []
    for block in range(count):
        factor = factors.get(block, 1)
        grown = factor > 1
        new = (
            f'<span class="kg-new" style="flex: {factor - 1}"></span>'
            if grown
            else ""
        )
        says = f"block {block}" + (f": {factor} times as wide" if grown else "")
        drawn.append(
            f'<div class="kg-block{" kg-on" if grown else ""}" '
            f'role="listitem">{says}<div class="kg-bar" aria-hidden="true" '
            f'style="width: {100 * factor / max(factors.values())}%">'
            f'<span class="kg-old" style="flex: 1"></span>{new}</div></div>'
        )
    summary = (
        f"{name}: {len(factors)} of {count} blocks grown, "
        f"{growth['parameters']:,} new parameters ({growth['strategy']}). "
        "Bars are the width of the MLP: plain is the base's, hatched is new."
    )
    return (
        f'<p class="kg-about">{escape(summary)}</p>'
        f'<div class="kg-blocks" role="list">{"".join(drawn)}</div>'
    )


class Analysis(NamedTuple):
    """Layer scores or a rank map: its file, its values, and these as HTML."""

    file: str
    values: dict[str, Any]
    drawn: str


def analyses(folder: Path) -> list[Analysis]:
    """Layer scores and rank maps among the JSON files of a run."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            if file.stat().st_size > _MAX_JSON:
                continue
            values = json.loads(file.read_text("utf-8"))
            if values.get("format") == "keras_grow.layer_scores":
                draw = _layer_scores
            elif {"changes", "energy", "full_rank"} <= set(values):
                draw = _rank_map
            else:
                continue
            found.append(Analysis(file.name, values, draw(values)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # Some other file of somebody's.
    return found


def _layer_scores(values: dict[str, Any]) -> str:
    scores = dict(zip(values["blocks"], values["scores"], strict=True))
    largest = max(map(abs, scores.values())) or 1.0
    rows = []
    for rank, (block, score) in enumerate(scores.items(), 1):
        width = max(100 * abs(float(score)) / largest, 1)
        rows.append(
            f'<tr><th scope="row">block {int(block)}</th><td>{rank}</td>'
            f'<td>{float(score):.4g}</td><td style="width: 50%">'
            f'<div class="kg-bar" style="width: {width:.0f}%">'
            '<span class="kg-old" style="flex: 1"></span></div></td></tr>'
        )
    caption = f"Layer scores ({values['method']}): {values['measured']}"
    return (
        f'<table class="kg-table"><caption>{escape(caption)}</caption><thead>'
        '<tr><th scope="col">block</th><th scope="col">rank</th>'
        '<th scope="col">score</th><td></td></tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table>"
    )


def _rank_map(values: dict[str, Any]) -> str:
    cells: dict[tuple[int, int], list[float]] = {}
    for change in values["changes"]:
        key = int(change["block"]), int(change["step"])
        cells.setdefault(key, []).append(float(change["effective_rank"]))
    means = {key: sum(found) / len(found) for key, found in cells.items()}
    largest = max(means.values()) or 1.0
    steps = sorted({step for _, step in means})
    header = "".join(f'<th scope="col">{step}</th>' for step in steps)
    rows = []
    for block in sorted({block for block, _ in means}):
        shades = "".join(
            "<td></td>"
            if (block, step) not in means
            else '<td style="background: color-mix(in srgb, #0072B2 '
            f'{60 * means[block, step] / largest:.0f}%, transparent)">'
            f"{means[block, step]:.1f}</td>"
            for step in steps
        )
        rows.append(f'<tr><th scope="row">block {block}</th>{shades}</tr>')
    caption = (
        "Rank map: effective rank of the change of the up-projections between "
        f"snapshots, by block and step (at most {values['full_rank']})"
    )
    return (
        '<div class="kg-scroll" tabindex="0" role="region" aria-label="Rank '
        f'map"><table class="kg-table"><caption>{escape(caption)}</caption>'
        f'<thead><tr><th scope="col">step</th>{header}</tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table></div>"
    )
