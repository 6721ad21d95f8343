"""The water level of a small reservoir, from satellite images of it."""

from millpond.level.errors import LevelError
from millpond.level.gauges import read_gauge
from millpond.level.network import LevelNet
from millpond.level.regressor import LevelRegressor
from millpond.level.sampling import blocked_split, chronological_split, random_split
from millpond.level.scenes import Scenes, read_scenes

__all__ = [
    "LevelError",
    "LevelNet",
    "LevelRegressor",
    "Scenes",
    "blocked_split",
    "chronological_split",
    "random_split",
    "read_gauge",
    "read_scenes",
]
