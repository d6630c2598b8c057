"""Charts as SVG that can be read without color, by mouse, touch and keys."""

import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from .axis import Axis

# After Okabe and Ito, whose colors differ for the color-blind as well; each
# with a contrast of 3 against white and against the dark page.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#C2679A",
    "#A87B00",
    "#8A6BD1",
    "#7F7F7F",
)
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
_WIDTH, _HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 34
Span = tuple[float, float]
_Place = Callable[[float, float], tuple[float, float]]


class Point(NamedTuple):
    """A point of a curve.

    `up` and `across` are its intervals on the upright and the level axis.
    `words` are read out; empty for its numbers.
    """

    x: float
    y: float
    up: Span | None = None
    across: Span | None = None
    words: str = ""


Points = Sequence[tuple[float, float]] | Sequence[Point]
# The least and the most that a metric can be, where there is such a number.
Bounds = tuple[float | None, float | None]
ANY: Bounds = (None, None)


def curves(
    title: str,
    series: Mapping[str, Points],
    order: Sequence[str],
    unit: str = "updates",
    bounds: Bounds = ANY,
) -> str:
    """One chart, in HTML, with its title and a line that reads out points.

    A point under the pointer or reached by the arrow keys is read out below the
    curves. `order` names all curves of the page, so that each looks the same in
    every chart. `unit` is what is on the level axis, `bounds` are of the
    upright one.
    """
    drawn = svg(title, series, order, unit, bounds)
    return (
        f'<figure class="kg-chart"><figcaption>{escape(title)}</figcaption>'
        f'{drawn}<output class="kg-readout">Point at a mark, or use the arrow '
        "keys.</output></figure>"
    )


def svg(
    title: str,
    series: Mapping[str, Points],
    order: Sequence[str],
    unit: str = "updates",
    bounds: Bounds = ANY,
) -> str:
    """The picture alone; arguments as of `curves`."""
    known = {name: _finite(series.get(name, ())) for name in order}
    points = [point for each in known.values() for point in each]
    label = escape(f"{title} over {unit}", quote=True)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" tabindex="0" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{label}" '
        'font-family="system-ui, sans-serif" font-size="11" fill="none" '
        'stroke="currentColor">'
    )
    if not points:
        return f"{head}{_text(_WIDTH / 2, 110, 'Nothing measured yet')}</svg>"
    level = Axis.over(
        [x for p in points for x in (p.x, *(p.across or ()))],
    )
    upright = Axis.over(
        [y for p in points for y in (p.y, *(p.up or ()))], *bounds
    )

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + level.share(x) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - upright.share(y) * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [head, *_axes(place, level, upright, unit)]
    for number, name in enumerate(order):
        parts += _curve(name, known[name], number, place)
    return "".join(parts) + "</svg>"


def legend(order: Sequence[str]) -> str:
    """Names of the curves beside the line and mark of each."""
    items = []
    for number, name in enumerate(order):
        items.append(
            '<li><svg viewBox="0 0 46 14" aria-hidden="true" fill="none">'
            f"{sample(number)}</svg> {escape(name)}</li>"
        )
    return f'<ul class="kg-legend">{"".join(items)}</ul>'


def sample(number: int) -> str:
    """Line and mark of curve `number`, 46 wide and 14 high."""
    line = f'<line x1="1" y1="7" x2="45" y2="7" {_stroke(number)}/>'
    return line + _mark(23, 7, number)


def _curve(
    name: str, points: Sequence[Point], number: int, place: _Place
) -> list[str]:
    placed = [place(point.x, point.y) for point in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    parts = [f'<polyline points="{path}" {_stroke(number)}/>']
    for point, (level, up) in zip(points, placed, strict=True):
        said = point.words or f"{point.y:.4g} at {point.x:g}"
        words = escape(f"{name}: {said}", quote=True)
        parts.append(
            f'<g class="kg-point" data-words="{words}">'
            f"<title>{words}</title>{_bars(point, number, place)}"
            f"{_mark(level, up, number)}"
            f'<circle cx="{level:.1f}" cy="{up:.1f}" r="9" stroke="none" '
            'fill="transparent"/></g>'
        )
    return parts


def _bars(point: Point, number: int, place: _Place) -> str:
    """The intervals of a point."""
    ends = [(point.x, end) for end in point.up or ()]
    ends += [(end, point.y) for end in point.across or ()]
    parts = []
    for first, second in zip(ends[::2], ends[1::2], strict=True):
        (x1, y1), (x2, y2) = place(*first), place(*second)
        parts.append(
            f'<line class="kg-bars" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" '
            f'y2="{y2:.1f}" stroke="{COLORS[number % len(COLORS)]}"/>'
        )
    return "".join(parts)


def _stroke(number: int) -> str:
    color = COLORS[number % len(COLORS)]
    return (
        f'stroke="{color}" stroke-width="2" '
        f'stroke-dasharray="{_DASHES[number % len(_DASHES)]}"'
    )


def _mark(x: float, y: float, number: int) -> str:
    """A disc, a square, a triangle, a diamond or a cross."""
    color = COLORS[number % len(COLORS)]
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" ',
        f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" ',
        _polygon(x, y, ((0, -5), (5, 4), (-5, 4))),
        _polygon(x, y, ((0, -5), (5, 0), (0, 5), (-5, 0))),
        _polygon(x, y, ((-5, -4), (5, -4), (0, 5))),
    )
    shape = shapes[number % len(shapes)]
    return f'{shape}fill="{color}" stroke="none"/>'


def _polygon(x: float, y: float, corners: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{path}" '


def _axes(place: _Place, across: Axis, up: Axis, unit: str) -> list[str]:
    parts = []
    for y, words in up.ticks():
        _, level = place(across.low, y)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{level:.1f}" '
            f'y2="{level:.1f}" opacity="0.2"/>'
            + _text(_LEFT - 6, level + 4, words, "end")
        )
    for x, words in across.ticks():
        level, _ = place(x, up.low)
        parts.append(_text(level, _HEIGHT - _BOTTOM + 15, words))
    parts.append(_text((_WIDTH + _LEFT) / 2, _HEIGHT - 4, unit))
    return parts


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" stroke="none" '
        f'fill="currentColor">{escape(text)}</text>'
    )


def _finite(points: Points) -> list[Point]:
    """The points that can be drawn, without intervals that cannot."""
    found = []
    for point in points:
        whole = Point(*point)
        if math.isfinite(whole.x) and math.isfinite(whole.y):
            spans = [
                span if span and math.isfinite(sum(span)) else None
                for span in (whole.up, whole.across)
            ]
            found.append(whole._replace(up=spans[0], across=spans[1]))
    return found
