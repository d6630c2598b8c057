"""What each method learns and forgets at shares of its change: the dial."""

from pathlib import Path

from keras_grow.comparison.kinds import KINDS
from keras_grow.comparison.layout import SHARES_FILE
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.share_points import front_points
from keras_grow.comparison.share_points import in_words
from keras_grow.comparison.share_rows import BASE
from keras_grow.comparison.share_rows import read_shares

from . import chart
from . import words

_NONE = (
    "No points along the dial in this run. `keras-grow compare` scores them "
    "where its plan has `shares` and an old skill."
)
_ABOUT = (
    "Each curve goes from the base over shares of a method's change, without "
    "further training: a growth by its dial, LoRA by its scale, all others "
    "by weights between the base's and their own. Below and to the left is "
    "better. Bars are 95% intervals, over the examples, of the change from "
    "the base."
)


def drawn(folder: Path) -> str:
    """The fronts of a comparison, a chart and a table for each old skill."""
    heading = "<h2>Learned against forgotten</h2>"
    if not (folder / SHARES_FILE).exists():
        return heading + words.note("info", _NONE)
    try:
        plan, rows = Plan.load(folder), read_shares(folder)
        new, *old = rows[BASE, 0, 0.0]
        grown = {m.name for m in plan.methods if KINDS[m.kind].grows_blocks}
        found = {name: front_points(plan, rows, new, name) for name in old}
    except (OSError, ValueError, KeyError) as error:
        said = f"The file {SHARES_FILE} of this run cannot be read. {error}"
        return heading + words.note("error", said)
    if not any(found.values()):
        return heading + words.note("info", _NONE)
    parts = [heading, f'<p class="kg-about">{_ABOUT}</p>']
    base = rows[BASE, 0, 0.0]
    for name, points in found.items():
        series: dict[str, list[chart.Point]] = {}
        lines = []
        for point in points:
            kept = _kept(point.share, point.method in grown)
            learned, low, high = point.learned
            lost, least, most = point.forgotten
            cells = [
                in_words("{:.3f}", point.learned),
                in_words("{:+.1f}", point.forgotten, "%"),
            ]
            said = f"{kept}: loss {cells[0]}, perplexity {cells[1]}"
            series.setdefault(point.method, []).append(
                chart.Point(lost, learned, (low, high), (least, most), said)
            )
            if point.share:
                lines.append([point.method, kept, *cells])
        n = len(base[new].losses), len(base[name].losses)
        skill = name.partition("/")[2].replace("_", " ")
        header = [
            "method",
            "kept",
            f"loss of the new skill, over {n[0]} examples",
            f"rise of the perplexity of {skill}, over {n[1]} texts",
        ]
        order = list(series)
        parts += [
            chart.legend(order),
            chart.curves(
                f"New skill: loss, over {n[0]} examples (lower is better)",
                series,
                order,
                f"rise of the perplexity of {skill} in % (lower is better)",
            ),
            words.table(f"New skill against {skill}", header, lines),
        ]
    return "".join(parts)


def _kept(share: float, is_grown: bool) -> str:
    if not share:
        return "base"
    return f"dial {share:g}" if is_grown else f"{share:.0%} of its change"
