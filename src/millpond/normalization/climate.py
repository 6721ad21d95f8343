"""A simulated Europe's year: temperature, drought, and what plants and snow make of them.

Built in, and fixed before any experiment: it is colder in the north, summers and winters differ more in the east, the
west is mild, and summers are dry in the south. Plants follow the sum of temperatures, not the calendar. The numbers are
round ones near those of climate atlases; no effect on images was looked at when they were chosen.
"""

import numpy as np

REFERENCE_LATITUDE_DEG = 48.0

BASE_C = 5.0
"""Plants grow with the degrees above this temperature."""

HARVEST_OVER = 290
"""Day of the year on which the last summer crops are off the fields, ripe or not."""


def temperature_c(latitude_deg: float, longitude_deg: float, day_of_year: float | np.ndarray) -> float | np.ndarray:
    """Mean air temperature of a day.

    17 degrees a year at 37 N and 0.53 less for each degree to the north, and near the ocean up to two degrees more; the
    swing around it grows from 5 at 10 W to 14 at 45 E, and is largest on 20 July.
    """
    ocean = 2 * np.clip((10 - longitude_deg) / 20, 0, 1)
    mean = 17 - 0.53 * (latitude_deg - 37) + ocean
    swing = 5 + 0.17 * (longitude_deg + 10)
    return mean + swing * np.cos(2 * np.pi * (np.asarray(day_of_year) - 201) / 365)


def degree_days(latitude_deg: float, longitude_deg: float, day_of_year: int) -> float:
    """Sum of the daily degrees above `BASE_C` since the first of January."""
    days = np.arange(1, day_of_year + 1)
    return float(np.maximum(temperature_c(latitude_deg, longitude_deg, days) - BASE_C, 0).sum())


def drought(latitude_deg: float, day_of_year: int) -> float:
    """0 to 1: full in early August south of 38 N, none north of 46 N, none in winter."""
    south = np.clip((46 - latitude_deg) / 8, 0, 1)
    summer = max(0.0, np.cos(2 * np.pi * (day_of_year - 215) / 365))
    return float(south * summer)


def grass_cover(latitude_deg: float, longitude_deg: float, day_of_year: int) -> float:
    """Green share of unirrigated grass: limited by cold and by drought."""
    warmth = np.clip(float(temperature_c(latitude_deg, longitude_deg, day_of_year)) / 12, 0, 1)
    return (0.2 + 0.65 * warmth) * (1 - 0.75 * drought(latitude_deg, day_of_year))


def leaf_cover(latitude_deg: float, longitude_deg: float, day_of_year: int) -> float:
    """Share of leaves on deciduous trees: out between 100 and 300 degree days, down in October and November."""
    out = np.clip((degree_days(latitude_deg, longitude_deg, day_of_year) - 100) / 200, 0, 1)
    return float(out * np.clip((320 - day_of_year) / 45, 0, 1))


def snow_chance(latitude_deg: float, longitude_deg: float, day_of_year: int) -> float:
    """Chance of snow on the ground: half at -1 degree."""
    temperature = float(temperature_c(latitude_deg, longitude_deg, day_of_year))
    return float(1 / (1 + np.exp((temperature + 1) / 1.2)))


def cloud_chance(latitude_deg: float, day_of_year: int) -> float:
    """Chance that a pass is too cloudy: six in ten over the year in the middle of Europe, more in winter and north."""
    winter = np.cos(2 * np.pi * (day_of_year - 10) / 365)
    return float(np.clip(0.6 + 0.012 * (latitude_deg - 48) + 0.15 * winter, 0.05, 0.95))
