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


@dataclass(frozen=True)
class Bar:
    """`value` and `before` lie between 0 and 1."""

    label: str
    value: float
    before: float | None


def bars(rows: Sequence[Bar], title: str) -> str:
    """A row per bar; the value of the run before below it."""
    room = WIDTH - _LABEL - 60
    shapes = []
    for number, row in enumerate(rows):
        top = number * _ROW
        shapes.append(f'<text x="0" y="{top + 12}">{escape(row.label)}</text>')
        shapes.append(_rectangle(_LABEL, top + 2, room * row.value, _BAR, "now"))
        end = _LABEL + room * row.value + 6
        shapes.append(f'<text x="{end:.0f}" y="{top + 12}">{row.value:.3f}</text>')
        if row.before is not None:
            shapes.append(_rectangle(_LABEL, top + 16, room * row.before, _BAR // 2, "before"))
    return _drawing(len(rows) * _ROW, title, shapes)


def histogram(labels: Sequence[str], counts: Sequence[int], title: str) -> str:
    """A column per label, as high as its count."""
    width = WIDTH / len(labels)
    most = max(*counts, 1)
    shapes = []
    for number, (label, count) in enumerate(zip(labels, counts, strict=True)):
        height = (_PLOT_HEIGHT - 20) * count / most
        left, top = number * width, _PLOT_HEIGHT - height
        shapes.append(_rectangle(left + 4, top, width - 8, height, "now"))
        shapes.append(f'<text x="{left + 6:.0f}" y="{top - 4:.0f}">{count}</text>')
        below = _PLOT_HEIGHT + 16
        shapes.append(f'<text x="{left + 6:.0f}" y="{below}">{escape(label)}</text>')
    return _drawing(_PLOT_HEIGHT + _BELOW, title, shapes)


def _rectangle(left: float, top: float, width: float, height: float, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}"'
        f' height="{height:.1f}"/>'
    )


def _drawing(height: int, title: str, shapes: Sequence[str]) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
        f"<title>{escape(title)}</title>{''.join(shapes)}</svg>"
    )
