import numpy as np
import pytest

from millpond import datasets
from millpond.level import study
from millpond.level.errors import LevelError
from millpond.level.opponents import HypsometryRegressor, LastLevelRegressor

HEIGHTS_M = np.array([[3.0, 2.0, 1.0], [np.nan, 9.0, 9.0]])


def lake(*n_wet):
    """Images of which so many pixels are water, the lowest first; without a height, one is water in all."""
    order = np.argsort(HEIGHTS_M.ravel(), kind="stable")  # NaN last
    images = np.empty((len(n_wet), 2, 6), np.float32)
    images[:, 0], images[:, 1] = 0.05, 0.25
    for image, n in zip(images, n_wet, strict=True):
        image[1, [*order[:n], 3]] = 0.01
    return images.reshape(-1, 2, 2, 3)


def test_persistence_tells_the_level_of_the_day_before_among_those_that_train():
    last = LastLevelRegressor().fit([[20], [0], [10]], [3.0, 1.0, 2.0])
    assert last.predict([[-5], [5], [10], [11], [99]]).tolist() == [1, 1, 1, 2, 3]


def test_the_terrain_tells_levels_from_areas_and_one_of_them_its_datum():
    images = lake(1, 2, 3)
    for others in ([101.0, 103.0], [-7.0, 500.0]):  # levels that it doesn't use
        terrain = HypsometryRegressor(heights_m=HEIGHTS_M).fit(images, [others[0], 102.0, others[1]])
        assert terrain.offset_m_ == 100
        assert terrain.predict(images).tolist() == [101, 102, 103]
    assert not terrain.counted_[1, 0]  # water, but of unknown height


def test_a_terrain_of_another_place_is_refused():
    with pytest.raises(LevelError, match="no height of a pixel that is water found"):
        HypsometryRegressor(heights_m=np.full((2, 3), np.nan)).fit(lake(1, 2), [1.0, 2.0])


def test_the_ground_of_a_twin_tells_its_levels_from_one():
    (row,) = study.score_twin("LYS", "sentinel2", "random", study.HYPSOMETRY, seed=0)
    assert row["r2"] > 0.9


def test_the_ground_of_itoiz_lies_where_its_water_is():
    if not datasets.is_present("itoiz"):
        pytest.skip("needs itoiz of the data root (set MILLPOND_DATA)")
    scenes = study.itoiz(1)
    heights_m = study.itoiz_heights_m(1)
    ndwi_wet = scenes.band("B03") > scenes.band("B08")
    known = np.isfinite(heights_m)
    highest = int(np.argmax(scenes.level_m))
    below = known & (heights_m < scenes.level_m[highest] - 5)
    above = known & (heights_m > scenes.level_m[highest] + 5)
    assert ndwi_wet[highest][below].mean() > 0.95
    assert ndwi_wet[highest][above].mean() < 0.05
