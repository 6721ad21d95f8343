import sys

import numpy as np
import pytest

from millpond import datasets
from millpond.normalization import NormalizationError
from millpond.normalization.masks import CLOUD_BANDS, bright_cloud_mask, cloud_mask, snow_mask
from millpond.normalization.samples import EOLEARN_DATES
from millpond.raster import SENTINEL2_BANDS, open_raster

SNOW = ("B03", "B04", "B08", "B11")
FOUR = ("B02", "B03", "B04", "B08")


def pixels(*spectra):
    """(n_bands, 1, n) from one spectrum a pixel."""
    return np.array(spectra, float).T[:, None]


def test_snow_by_hand():
    # snow; dark ice (too dim); bright soil of NDVI 0.1; bright soil of NDVI 0; no data
    spectra = [(0.6, 0.6, 0.6, 0.1), (0.2, 0.2, 0.2, 0.02), (0.4, 0.36, 0.44, 0.4), (0.4, 0.4, 0.4, 0.4), (0, 0, 0, 0)]
    assert snow_mask(pixels(*spectra), SNOW)[0].tolist() == [True, False, True, False, False]
    assert snow_mask(pixels(*spectra), SNOW, brightness_threshold=0.1)[0].tolist() == [True, True, True, False, False]


def test_the_threshold_belongs_to_snow():
    # NDSI of 0.75 and 0.25: exactly 0.5
    assert snow_mask(pixels((0.75, 0.5, 0.5, 0.25)), SNOW, ndsi_threshold=0.5).all()


def test_thick_cloud_by_hand():
    # cloud; thin haze (not bright); red soil (not hazy); green field under haze; no data
    spectra = [
        (0.5, 0.5, 0.5, 0.55),
        (0.15, 0.12, 0.1, 0.2),
        (0.2, 0.3, 0.4, 0.45),
        (0.2, 0.18, 0.15, 0.5),
        (0, 0, 0, 0),
    ]
    assert bright_cloud_mask(pixels(*spectra), FOUR)[0].tolist() == [True, False, False, False, False]


def test_names_are_read_as_everywhere():
    assert bright_cloud_mask(pixels((0.5, 0.5, 0.55, 0.5)), ("B3", "B2", "B8", "B4")).all()


def test_what_a_mask_needs_is_said():
    with pytest.raises(NormalizationError, match=r"bands B02, B03, B04, B08 found, B11 missing. This mask needs B03"):
        snow_mask(pixels((0.5,) * 4), FOUR)
    with pytest.raises(NormalizationError, match="values of type int64 found, reflectances"):
        bright_cloud_mask(np.full((4, 1, 1), 500), FOUR)
    with pytest.raises(NormalizationError, match=r"shape \(4, 1, 1\) found, \(n_bands, rows, cols\) with 3 bands"):
        bright_cloud_mask(pixels((0.5,) * 4), FOUR[:3])
    with pytest.raises(NormalizationError, match="B01, B05, B8A, B09, B10, B11, B12 missing"):
        cloud_mask(pixels((0.5,) * 4), FOUR)


def test_a_missing_package_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "s2cloudless", None)
    with pytest.raises(NormalizationError, match=r"no package s2cloudless found, .* `pip install \"\.\[clouds\]\"`"):
        cloud_mask(pixels((0.5,) * 10), CLOUD_BANDS)


@pytest.fixture(scope="module")
def slovenia(excerpts):
    """Five dates of one place in Slovenia: reflectance (13, 26, 25) by date."""
    scenes = np.load(excerpts / "slovenia.npz")["dn"] / 10_000
    return dict(zip(EOLEARN_DATES, np.moveaxis(scenes, -1, 1), strict=True))


def test_real_clouds_by_s2cloudless(slovenia):
    pytest.importorskip("s2cloudless")
    share = {day: cloud_mask(image, SENTINEL2_BANDS).mean() for day, image in slovenia.items()}
    for day in ("2015-08-20", "2015-07-31"):
        assert share.pop(day) > 0.99
    assert set(share.values()) == {0}


def test_four_bands_see_the_thick_cloud_and_miss_the_thin(slovenia):
    share = {day: bright_cloud_mask(image, SENTINEL2_BANDS).mean() for day, image in slovenia.items()}
    assert share.pop("2015-08-20") > 0.99
    assert 0.05 < share.pop("2015-07-31") < 0.2
    assert set(share.values()) == {0}


def test_the_snow_rule_takes_some_thick_cloud(slovenia):
    share = {day: snow_mask(image, SENTINEL2_BANDS).mean() for day, image in slovenia.items()}
    assert 0.05 < share.pop("2015-08-20") < 0.2
    assert set(share.values()) == {0}


def test_clear_scenes_stay_clear():
    with open_raster(datasets.virginia_scene(), FOUR) as raster:
        clear = raster.read() / 10_000
    assert bright_cloud_mask(clear, FOUR).mean() < 0.02  # surf and sand
