"""Curves as SVG that can be read without color, by mouse, touch and keys."""

import math
from collections.abc import Mapping
from collections.abc import Sequence
from html import escape

Points = Sequence[tuple[float, float]]
# Okabe and Ito's colors, which differ for the color-blind as well.
COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
)
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
_WIDTH, _HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 34


def curves(
    title: str,
    series: Mapping[str, Points],
    order: Sequence[str],
    unit: str = "updates",
) -> str:
    """One chart with its title and a line that reads out points.

    Args:
        title: what is on the upright axis.
        series: points of each curve, by name.
        order: names of all curves of the page, so that each looks the same
            in every chart.
        unit: what is on the level axis.

    Returns:
        HTML of a figure. A point under the pointer or reached by the arrow
        keys is read out below the curves.
    """
    drawn = svg(title, series, order, unit)
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
) -> str:
    """The picture alone; arguments as of `curves`."""
    points = [
        point for name in order for point in _finite(series.get(name, ()))
    ]
    label = escape(f"{title} over {unit}", quote=True)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" tabindex="0" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-label="{label}" '
        'font-family="system-ui, sans-serif" font-size="11" fill="none" '
        'stroke="currentColor">'
    )
    if not points:
        return f"{head}{_text(_WIDTH / 2, 110, 'Nothing measured yet')}</svg>"
    x_low, x_high = _range([x for x, _ in points])
    y_low, y_high = _range([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low)
        up = (y - y_low) / (y_high - y_low)
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [head, *_axes(place, (x_low, x_high), (y_low, y_high), unit)]
    for number, name in enumerate(order):
        parts += _curve(name, _finite(series.get(name, ())), number, place)
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


def _curve(name: str, points: Points, number: int, place: object) -> list[str]:
    assert callable(place)
    placed = [place(x, y) for x, y in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    parts = [f'<polyline points="{path}" {_stroke(number)}/>']
    for (x, y), (level, up) in zip(points, placed, strict=True):
        words = escape(f"{name}: {y:.4g} at {x:g}", quote=True)
        parts.append(
            f'<g class="kg-point" data-words="{words}">'
            f"<title>{words}</title>{_mark(level, up, number)}"
            f'<circle cx="{level:.1f}" cy="{up:.1f}" r="9" stroke="none" '
            'fill="transparent"/></g>'
        )
    return parts


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


def _axes(
    place: object,
    across: tuple[float, float],
    up: tuple[float, float],
    unit: str,
) -> list[str]:
    assert callable(place)
    parts, levels = [], _ticks(*up)
    step = levels[1] - levels[0] if len(levels) > 1 else 1.0
    digits = min(max(0, -math.floor(math.log10(step) + 1e-9)), 6)
    for y in levels:
        _, level = place(across[0], y)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{level:.1f}" '
            f'y2="{level:.1f}" opacity="0.2"/>'
            + _text(_LEFT - 6, level + 4, f"{y:.{digits}f}", "end")
        )
    for x in _ticks(*across):
        level, _ = place(x, up[0])
        parts.append(_text(level, _HEIGHT - _BOTTOM + 15, f"{x:g}"))
    parts.append(_text((_WIDTH + _LEFT) / 2, _HEIGHT - 4, unit))
    return parts


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" stroke="none" '
        f'fill="currentColor">{escape(text)}</text>'
    )


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(y)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest value with a margin, never the same."""
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or abs(low) * 0.1 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers between two values."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999)
    first = math.ceil(low / step)
    return [
        round(n * step, 12) for n in range(first, math.floor(high / step) + 1)
    ]
