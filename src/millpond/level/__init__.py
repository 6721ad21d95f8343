"""The water level of a small reservoir, from satellite images of it."""

from millpond.level.errors import LevelError
from millpond.level.gauges import read_gauge

__all__ = ["LevelError", "read_gauge"]
