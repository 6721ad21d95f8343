"""Draw the book's logo: a pond seen from above, its depth contours cut off by the straight line of the dam.

Run it to make logo.svg, logo-dark.svg (for dark pages) and favicon.svg in book/_static. The letters become outlines,
so that the logo looks the same where the font is not installed.
"""

from pathlib import Path

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

STATIC = Path(__file__).parent / "_static"
WATER = ["#cfe8ef", "#9fd0de", "#66b0c9", "#3488ab", "#175f86", "#0b3f61"]  # shallow to deep
DAM = -26.0  # the dam is a vertical line left of the middle; the deepest water lies in front of it


def shore() -> np.ndarray:
    """The outline of a pond with two arms, one for each stream that feeds it."""
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = 42 + 13 * np.cos(3 * angle - 0.35) + 6 * np.cos(2 * angle + 0.5) + 2.5 * np.cos(5 * angle + 1.2)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def svg_path(points: np.ndarray) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"


def pond() -> str:
    """Nested contours that shrink towards the foot of the dam, and the dam itself."""
    outline, foot = shore(), np.array([DAM, 0.0])
    rings = []
    for colour, scale in zip(WATER, np.linspace(1, 0.2, len(WATER)), strict=True):
        ring = foot + scale * (outline - foot)
        ring[:, 0] = np.maximum(ring[:, 0], DAM)
        rings.append(f'<path d="{svg_path(ring)}" fill="{colour}"/>')
    wet = outline[outline[:, 0] <= DAM + 2][:, 1]
    low, high = wet.min() - 5, wet.max() + 5
    dam = (
        f'<rect x="{DAM - 6:.1f}" y="{low:.1f}" width="6.5" height="{high - low:.1f}" rx="2.5" fill="#b5651d"/>'
        f'<path d="M{DAM - 6:.1f} 0 h-9 m-5 0 h-7" stroke="#66b0c9" stroke-width="3.2" stroke-linecap="round"/>'
    )
    return "".join(rings) + dam


def word(text: str, size: float, x: float, y: float, colour: str) -> str:
    """A word as one outline, its baseline at (x, y)."""
    outline = TextPath((0, 0), text, size=size, prop=FontProperties(family="STIXGeneral"))
    commands = []
    for vertices, code in outline.iter_segments(curves=True):
        points = vertices.reshape(-1, 2) * [1, -1] + [x, y]
        numbers = " ".join(f"{a:.2f} {b:.2f}" for a, b in points)
        commands.append("Z" if code == outline.CLOSEPOLY else {1: "M", 2: "L", 3: "Q", 4: "C"}[int(code)] + numbers)
    return f'<path d="{"".join(commands)}" fill="{colour}"/>'


def svg(box: tuple[float, float, float, float], content: str) -> str:
    view = " ".join(f"{value:g}" for value in box)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" role="img"><title>Millpond</title>{content}</svg>\n'
    )


def main() -> None:
    STATIC.mkdir(exist_ok=True)
    for name, colour in {"logo": "#12384f", "logo-dark": "#e8f3f7"}.items():
        content = pond() + word("Millpond", 62, 72, 20, colour)
        (STATIC / f"{name}.svg").write_text(svg((-54, -60, 366, 120), content))
    (STATIC / "favicon.svg").write_text(svg((-54, -60, 120, 120), pond()))


if __name__ == "__main__":
    main()
