"""Draw the level chapters' picture of a real reservoir: six dates of Itoiz with their shoreline.

Needs the data set `itoiz` in the data root, so the picture is archived, and the chapter is the same without it.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from millpond import datasets, plots
from millpond.level import read_scenes
from millpond.level.baselines import AreaLevelRegressor

PICTURE = Path(__file__).parent / "_static" / "itoiz-scenes.jpg"


def main() -> None:
    plots.use_style()
    scenes = read_scenes(datasets.path("itoiz"))
    water = AreaLevelRegressor(scenes.bands).water(scenes.images)
    fig, axes = plt.subplots(2, 3, figsize=(7.5, 4.4))
    for ax, i in zip(axes.flat, (0, 6, 8, 12, 16, len(scenes) - 1), strict=True):
        infrared, green = scenes.band("B08")[i], scenes.band("B03")[i]
        plots.show_composite(ax, np.stack([infrared / 0.4, green / 0.2, green / 0.2]))
        ax.contour(water[i], levels=[0.5], colors="#F0E442", linewidths=0.6)
        ax.set_title(f"{scenes.dates[i]:%Y-%m-%d}, {scenes.level_m[i]:.1f} m")
    pixels = 1000 / scenes.pixel_m[1]
    rows = scenes.images.shape[2]
    axes[0, 0].plot([rows / 20, rows / 20 + pixels], [rows * 0.95] * 2, color="white", lw=2)
    axes[0, 0].text(rows / 20 + pixels / 2, rows * 0.93, "1 km", color="white", ha="center", va="bottom")
    fig.savefig(PICTURE, dpi=130, pil_kwargs={"quality": 82})


if __name__ == "__main__":
    main()
