"""Plots as inline SVG: so few shapes that no library for them is worth its weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 720
_LABEL = 160
_ROW = 36
_BAR = 12
_PLOT_HEIGHT = 160
_BELOW = 24
_KEY = 24
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Bar:
    """`value` and `before` lie between 0 and 1."""

    label: str
    value: float
    before: float | None


def bars(rows: Sequence[Bar], title: str) -> str:
    """A row per bar; the value of the run before below it. With a key, where there is one, and a scale."""
    room = WIDTH - _LABEL - 60
    bottom = _KEY + len(rows) * _ROW
    shapes = _key() if any(row.before is not None for row in rows) else []
    for tick in _TICKS:
        at = _LABEL + room * tick
        shapes.append(
            f'<line class="scale" x1="{at:.1f}" y1="{_KEY}" x2="{at:.1f}" y2="{bottom}"/>'
        )
        shapes.append(
            f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.2f}</text>'
        )
    for number, row in enumerate(rows):
        top = _KEY + number * _ROW
        shapes.append(f'<text x="0" y="{top + 12}">{escape(row.label)}</text>')
        shapes.append(_rectangle(_LABEL, top + 2, room * row.value, _BAR, "now"))
        end = _LABEL + room * row.value + 6
        shapes.append(f'<text x="{end:.0f}" y="{top + 12}">{row.value:.3f}</text>')
        if row.before is not None:
            shapes.append(_rectangle(_LABEL, top + 16, room * row.before, _BAR // 2, "before"))
    return _drawing(bottom + _BELOW, title, shapes)


def _key() -> list[str]:
    return [
        _rectangle(_LABEL, 2, _BAR, _BAR, "now"),
        f'<text x="{_LABEL + 18}" y="12">this run</text>',
        _rectangle(_LABEL + 90, 5, _BAR, _BAR // 2, "before"),
        f'<text x="{_LABEL + 108}" y="12">the run before</text>',
    ]


def histogram(labels: Sequence[str], counts: Sequence[int], title: str) -> str:
    """A column from each label to the next, as high as its count, which stands above it."""
    width = WIDTH / len(labels)
    most = max(*counts, 1)
    shapes = []
    for number, (label, count) in enumerate(zip(labels, counts, strict=True)):
        height = (_PLOT_HEIGHT - 20) * count / most
        left, top = number * width, _PLOT_HEIGHT - height
        shapes.append(_rectangle(left + 4, top, width - 8, height, "now"))
        shapes.append(f'<text x="{left + 6:.0f}" y="{top - 4:.0f}">{count}</text>')
        below = _PLOT_HEIGHT + 16
        shapes.append(f'<text x="{left:.0f}" y="{below}">{escape(label)}</text>')
    shapes.append(_line_below())
    return _drawing(_PLOT_HEIGHT + _BELOW, title, shapes)


def _line_below() -> str:
    return f'<line class="scale" x1="0" y1="{_PLOT_HEIGHT}" x2="{WIDTH}" y2="{_PLOT_HEIGHT}"/>'


def _rectangle(left: float, top: float, width: float, height: float, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}"'
        f' height="{height:.1f}"/>'
    )


def _drawing(height: int, title: str, shapes: Sequence[str]) -> str:
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f"<title>{escape(title)}</title>{''.join(shapes)}</svg></figure>"
    )
