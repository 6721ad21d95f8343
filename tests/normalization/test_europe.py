import numpy as np
import pandas as pd
import pytest

from millpond.normalization import NormalizationError, europe
from millpond.normalization.exploration import patch_statistics, region_name
from millpond.normalization.parcels import MECHANISMS, simulate_patch, write_patch


@pytest.fixture(scope="module")
def rows():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(europe, "LEAST_PATCHES", 1)
        return pd.DataFrame(europe.explore(seed=1, n_patches=60, size=32))


def test_every_kind_of_row_is_there(rows):
    wanted = {"month", "month in the south", "cropland in the south"}
    assert set(rows.loc[rows["kind"] == "distance", "by"]) >= wanted
    assert set(rows["kind"]) == {"histogram", "distance", "regression", "tail"}
    assert set(rows.loc[rows["kind"] == "histogram", "by"]) == {"all", "landcover", "region", "month", "cropland"}
    assert set(rows.loc[rows["kind"] == "regression", "gap"]) == {
        "latitude",
        "longitude",
        "difference",
        "months",
    }


def test_groupings_count_the_same_pixels(rows):
    counted = rows[(rows["kind"] == "histogram") & (rows["band"] == "B02")].groupby("by")["n_pixels"].sum()
    assert counted["landcover"] == counted["region"] == counted["month"]
    cropland = rows[(rows["label"] == "cropland") & (rows["by"] == "landcover") & (rows["band"] == "B02")]
    assert counted["cropland"] == cropland["n_pixels"].item()


def test_the_south_is_what_lies_below_48_degrees(tmp_path):
    for i, (latitude, month) in enumerate(((37.0, 3), (47.9, 3), (48.1, 3), (47.9, 6))):
        patch = simulate_patch(latitude, 12, 30 * month, size=32, rng=np.random.default_rng(i))
        write_patch(patch, tmp_path, f"{i}_2021{month:02d}01")
    counted = patch_statistics(tmp_path, by=("landcover:region:month",), region_size_deg=europe.REGION_SIZE_DEG)
    months = europe._months_in_the_south(counted)
    assert {month: histogram.n_pixels[0] for month, histogram in months.items()} == {3: 2 * 32 * 32, 6: 32 * 32}
    assert europe._months_in_the_south(counted, "cropland") == {}  # too few patches to compare


def test_regions_lie_where_their_patches_do(rows):
    of_regions = rows[(rows["by"] == "region") & (rows["kind"] == "histogram") & (rows["band"] == "B02")]
    named = [region_name(r.latitude_deg, r.longitude_deg, europe.REGION_SIZE_DEG) for r in of_regions.itertuples()]
    assert named == of_regions["label"].tolist()


def test_archived_bins_hold_the_pixels_below_5000(rows):
    of_cropland = rows[(rows["by"] == "landcover") & (rows["label"] == "cropland") & (rows["band"] == "B04")].iloc[0]
    binned = np.array(of_cropland["counts"].split(), int)
    assert len(binned) == 100
    assert 0.95 * of_cropland["n_pixels"] < binned.sum() <= of_cropland["n_pixels"]
    # half of the pixels lie below the median, to within the bin that holds it
    below = int(of_cropland["p50"] // europe.BIN_DN)
    assert binned[:below].sum() <= of_cropland["n_pixels"] / 2 <= binned[: below + 1].sum()


def test_masked_pixels_do_not_count(tmp_path):
    patch = simulate_patch(47, 12, 180, size=64, rng=np.random.default_rng(0), cloud_share=0.4)
    write_patch(patch, tmp_path, "cloudy")
    statistics = patch_statistics(tmp_path)
    assert statistics.histogram().n_pixels.tolist() == [int((patch.mask == 0).sum())] * 4


def test_the_five_regions_of_the_study_are_different_cells():
    names = {region_name(*place, europe.REGION_SIZE_DEG) for place in europe.REGIONS.values()}
    assert len(names) == 5


def test_seeds_are_worlds_and_the_same_seed_is_the_same_world():
    first, again, other = (europe.explore(seed=seed, n_patches=6, size=32) for seed in (1, 1, 2))
    assert str(first) == str(again)
    assert str(first) != str(other)


@pytest.mark.parametrize("without", [(), ("sun",), ("season",), ("cover",), ("soil",)])
def test_a_survey_without_a_mechanism_has_the_same_places_days_and_clouds(without):
    def about(patches):
        return [(p.latitude_deg, p.longitude_deg, p.acquired, (p.mask == 1).sum()) for p in patches]

    whole = europe.survey(12, 32, np.random.default_rng(3))
    other = europe.survey(12, 32, np.random.default_rng(3), without=without)
    assert about(whole) == about(other)


def test_with_all_mechanisms_off_latitude_changes_nothing_but_the_place():
    belts = ((37.0, 38.0), (60.0, 61.0))
    south, north = (
        [p.dn for p in europe.survey(5, 32, np.random.default_rng(3), latitude_deg=belt, without=MECHANISMS)]
        for belt in belts
    )
    assert all((a == b).all() for a, b in zip(south, north, strict=True))


def test_passes_cannot_be_switched_off_without_the_sun():
    with pytest.raises(NormalizationError, match=r"passes switched off without sun found, both expected\."):
        next(europe.survey(3, 32, np.random.default_rng(0), without=("passes",)))
