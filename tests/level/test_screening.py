from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from millpond.level.imagery import Image
from millpond.level.screening import share_wet, spoiled

BANDS = ("B03", "B08")
EVERYWHERE = np.ones((20, 40), bool)


def lake(half_width, lost=None, cloud=None):
    """Water of so many columns on both sides of the 20th; `lost` pixels look like land, `cloud` is known."""
    water = np.broadcast_to(np.abs(np.arange(40) - 19.5) < half_width, (20, 40)).copy()
    cloudy = np.zeros_like(water)
    if cloud is not None:
        cloudy[cloud] = True
    if lost is not None:
        water[lost] = False
    water &= ~cloudy
    values = np.stack([np.where(water, 0.08, 0.05), np.where(water, 0.03, 0.25)]).astype(np.float32)
    return Image(pd.Timestamp(2020, 1, 1), Path("S2.tif"), 0.0, values, cloudy)


EAST, WEST = (slice(None), slice(20, None)), (slice(None), slice(None, 20))
WIDTHS = np.round(10 + 8 * np.cos(np.arange(30) / 29 * 3 * np.pi)).astype(int)


@pytest.mark.parametrize(
    ("lost", "bad"),
    [
        (EAST, np.argsort(-WIDTHS)[:6]),  # plants or glint over half of the largest waters
        (EAST, np.argsort(-WIDTHS)[:4]),
        (WEST, np.argsort(-WIDTHS)[2:14:2]),
        (EAST, np.argsort(-WIDTHS)[:10]),
        ((slice(0, 8), slice(None)), np.flatnonzero(WIDTHS > 8)[::3]),
    ],
)
def test_spoiled_images_are_dropped_and_no_good_ones_however_low_the_water(lost, bad):
    images = [lake(width, lost if i in bad else None) for i, width in enumerate(WIDTHS)]
    assert np.flatnonzero(spoiled(images, BANDS, EVERYWHERE)).tolist() == sorted(bad)


def test_a_known_cloud_spoils_nothing():
    images = [lake(width, cloud=EAST if i % 7 == 0 else None) for i, width in enumerate(WIDTHS)]
    assert not spoiled(images, BANDS, EVERYWHERE).any()
    assert share_wet(images, BANDS)[0, 19:21].tolist() == [1, 1]  # of the images that show them


def test_water_outside_the_area_of_interest_spoils_nothing():
    images = [lake(width) for width in WIDTHS]
    for image in images[::5]:
        image.values[0, :6, :4], image.values[1, :6, :4] = 0.05, 0.02
    inside = np.broadcast_to(np.arange(40) >= 4, (20, 40))
    assert spoiled([*images, lake(3)], BANDS, EVERYWHERE).any()
    assert not spoiled([*images, lake(3)], BANDS, inside).any()


def test_what_was_wet_before_judges_each_image_alone():
    before = share_wet([lake(width) for width in WIDTHS], BANDS)
    assert spoiled([lake(16, EAST)], BANDS, EVERYWHERE, before).tolist() == [True]
    assert spoiled([lake(2)], BANDS, EVERYWHERE, before).tolist() == [False]
    assert spoiled([lake(16, EAST)], BANDS, EVERYWHERE).tolist() == [False]  # nothing to compare with
