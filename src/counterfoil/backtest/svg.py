"""Small charts as SVG text: no library, no script, no network. Colours are classes, which the report's style sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 860
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 34, 10, 26
_LABELS_MAX = 9


@dataclass(frozen=True, slots=True)
class Series:
    """One layer of a bar chart.

    Parameters
    ----------
    name
        What the legend calls it.
    style
        The class that colours it.
    values
        One for each place.
    """

    name: str
    style: str
    values: Sequence[float]


def stacked_bars(places: Sequence[str], series: Sequence[Series], height: int = 210) -> str:
    """Return upright bars, the first series at the bottom, with a title for every bar."""
    totals = [sum(each.values[index] for each in series) for index in range(len(places))]
    top = nice_ceiling(max(totals, default=0))
    wide, tall = _WIDTH - _LEFT - _RIGHT, height - _TOP - _BOTTOM
    step = wide / max(len(places), 1)
    bar = max(step * 0.78, 0.6)
    parts = [_open(height), _grid(top, tall, wide)]
    for index, place in enumerate(places):
        x, at = _LEFT + index * step + (step - bar) / 2, 0.0
        told = "; ".join(f"{each.name}: {each.values[index]:,.0f}" for each in series)
        parts.append(f"<g><title>{escape(place)} — {escape(told)}</title>")
        for each in series:
            value = each.values[index]
            if value > 0:
                size = value / top * tall
                y = _TOP + tall - (at / top * tall) - size
                parts.append(_rectangle(x, y, bar, size, each.style))
                at += value
        parts.append(f'<rect x="{_n(x)}" y="{_TOP}" width="{_n(bar)}" height="{tall}" class="touch"/></g>')
    every = max(1, -(-len(places) // _LABELS_MAX))
    for index in range(0, len(places), every):
        x = _LEFT + (index + 0.5) * step
        parts.append(f'<text x="{_n(x)}" y="{height - 8}" class="tick middle">{escape(places[index])}</text>')
    return "".join([*parts, "</svg>"])


def paired_bars(places: Sequence[str], first: Series, second: Series, height: int = 150) -> str:
    """Return two upright bars side by side for each place: shares of two wholes, from 0 to 1."""
    top = nice_ceiling(max([*first.values, *second.values], default=0) * 100)
    wide, tall = _WIDTH - _LEFT - _RIGHT, height - _TOP - _BOTTOM
    step = wide / max(len(places), 1)
    bar = max(step * 0.38, 0.6)
    parts = [_open(height), _grid(top, tall, wide)]
    for index, place in enumerate(places):
        told = "; ".join(f"{each.name}: {each.values[index]:.1%}" for each in (first, second))
        parts.append(f"<g><title>{escape(place)} — {escape(told)}</title>")
        for side, each in enumerate((first, second)):
            size = each.values[index] * 100 / top * tall
            x = _LEFT + (index + 0.5) * step + (side - 1) * bar
            parts.append(_rectangle(x, _TOP + tall - size, bar, size, each.style))
        parts.append("</g>")
        x = _LEFT + (index + 0.5) * step
        parts.append(f'<text x="{_n(x)}" y="{height - 8}" class="tick middle">{escape(place)}</text>')
    return "".join([*parts, "</svg>"])


def lying_bars(places: Sequence[str], series: Sequence[Series], row: int = 24) -> str:
    """Return bars from left to right, one a row, with their sum behind them."""
    left, right = 230, 70
    height = len(places) * row + 8
    totals = [sum(each.values[index] for each in series) for index in range(len(places))]
    top = max([*totals, 1])
    wide = _WIDTH - left - right
    parts = [_open(height)]
    for index, place in enumerate(places):
        y, x = 4 + index * row, float(left)
        told = "; ".join(f"{each.name}: {each.values[index]:,.0f}" for each in series)
        parts.append(f"<g><title>{escape(place)} — {escape(told)}</title>")
        parts.append(f'<text x="{left - 10}" y="{y + row * 0.66:.1f}" class="label end">{escape(place)}</text>')
        for each in series:
            size = each.values[index] / top * wide
            if size > 0:
                parts.append(_rectangle(x, y + 4, size, row - 8, each.style))
                x += size
        parts.append(f'<text x="{x + 8:.1f}" y="{y + row * 0.66:.1f}" class="tick">{totals[index]:,.0f}</text></g>')
    return "".join([*parts, "</svg>"])


def curves(lines: Sequence[tuple[str, str, Sequence[tuple[float, float, str]]]], across: str, up: str) -> str:
    """Return lines of points between 0 and 1.

    Parameters
    ----------
    lines
        For each its name, its class and its points: across, up, and what a point says.
    across, up
        The names of the axes.
    """
    height = 300
    wide, tall = _WIDTH - _LEFT - _RIGHT, height - _TOP - _BOTTOM - 14
    parts = [_open(height)]
    for index in range(6):
        share = index / 5
        y, x = _TOP + tall * (1 - share), _LEFT + wide * share
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + wide}" y1="{_n(y)}" y2="{_n(y)}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{_n(y + 4)}" class="tick end">{share:.0%}</text>')
        parts.append(f'<text x="{_n(x)}" y="{_TOP + tall + 18}" class="tick middle">{share:.0%}</text>')
    for _, style, points in lines:
        path = " ".join(f"{_LEFT + x * wide:.1f},{_TOP + (1 - y) * tall:.1f}" for x, y, _ in points)
        parts.append(f'<polyline points="{path}" class="line {style}"/>')
        for x, y, told in points:
            place = f'cx="{_LEFT + x * wide:.1f}" cy="{_TOP + (1 - y) * tall:.1f}"'
            parts.append(f'<circle {place} r="3.2" class="{style}"><title>{escape(told)}</title></circle>')
    parts.append(f'<text x="{_LEFT + wide}" y="{height - 4}" class="tick end">{escape(across)} →</text>')
    parts.append(f'<text x="{_LEFT + wide}" y="{_TOP + 14}" class="tick end">↑ {escape(up)}</text>')
    return "".join([*parts, "</svg>"])


def heat_map(names: Sequence[str], values: Sequence[Sequence[int]]) -> str:
    """Return a square of counts, darker for more; what stands on the diagonal belongs to one name alone."""
    left, top, cell = 230, 8, min(44, (_WIDTH - 230 - 12) // max(len(names), 1))
    height = top + cell * len(names) + 34
    most = max((values[row][column] for row in range(len(names)) for column in range(row)), default=0)
    parts = [_open(height)]
    for row, name in enumerate(names):
        y = top + row * cell
        parts.append(f'<text x="{left - 10}" y="{_n(y + cell / 2 + 4)}" class="label end">{escape(name)}</text>')
        parts.append(
            f'<text x="{_n(left + row * cell + cell / 2)}" y="{height - 14}" class="tick middle">{row + 1}</text>'
        )
        for column in range(row + 1):
            value = values[row][column]
            shade = 0.0 if not value or not most else min(1.0, 0.12 + 0.88 * (value / most) ** 0.5)
            style = "own" if row == column else "heat"
            told = f"{name}: {value:,}" if row == column else f"{name} and {names[column]}: {value:,}"
            x = left + column * cell
            tint = "" if row == column else f' style="fill-opacity:{shade:.2f}"'
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" rx="3" class="{style}"{tint}>'
                f"<title>{escape(told)}</title></rect>"
            )
            if value and cell >= 26:
                tone = "light" if shade > 0.6 and row != column else ""
                text = (
                    str(value) if value < 1_000 else f"{value / 1000:.1f}k" if value < 10_000 else f"{value // 1000}k"
                )
                parts.append(
                    f'<text x="{_n(x + cell / 2 - 1)}" y="{_n(y + cell / 2 + 4)}" class="cell {tone}">{text}</text>'
                )
    return "".join([*parts, "</svg>"])


def legend(series: Sequence[tuple[str, str]]) -> str:
    """Return a legend of names and classes."""
    return (
        '<p class="legend">'
        + "".join(f'<span><i class="{style}"></i>{escape(name)}</span>' for name, style in series)
        + "</p>"
    )


def nice_ceiling(value: float) -> float:
    """Return the next round number: an axis that ends there has round marks.

    Examples
    --------
    >>> nice_ceiling(37), nice_ceiling(0), nice_ceiling(1_000)
    (40.0, 1.0, 1000.0)
    """
    if value <= 0:
        return 1.0
    size = 1.0
    while size * 10 <= value:
        size *= 10
    while size > value:
        size /= 10
    return next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * size >= value)


def _open(height: float) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" xmlns="http://www.w3.org/2000/svg">'


_EXACT = 1_000
"""From here on, quarters of nice ceilings are whole numbers."""


def _grid(top: float, tall: float, wide: float) -> str:
    parts = []
    for index in range(5):
        value = top * index / 4
        y = _TOP + tall * (1 - index / 4)
        # A nice ceiling has at most two digits, so a quarter of it has at most two more.
        text = f"{value:,.4g}" if value < _EXACT else f"{value:,.0f}"
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + wide}" y1="{_n(y)}" y2="{_n(y)}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{_n(y + 4)}" class="tick end">{text}</text>')
    return "".join(parts)


def _rectangle(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" class="{style}"/>'


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
