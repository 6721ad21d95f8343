from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats

from millpond import datasets
from millpond.capacity import study
from millpond.capacity.dams import LARGEST_HEIGHT_M
from millpond.capacity.errors import CapacityError
from millpond.capacity.factors import FACTORS, SMALL_CAPACITY_1E6_M3
from millpond.capacity.inventory import read_nid
from millpond.capacity.samples import TERRAINS, read_terrain, virtual_reservoirs


@pytest.mark.parametrize("name", TERRAINS)
def test_terrains_are_hilly_and_georeferenced(name):
    dataset, _ = TERRAINS[name]
    if dataset and not datasets.is_present(dataset):
        pytest.skip(f"needs {dataset} of the data root (set MILLPOND_DATA)")
    elevation, transform, crs = read_terrain(name)
    assert np.nanmax(elevation) - np.nanmin(elevation) > 100
    assert transform.a > 0 > transform.e
    assert crs.startswith("EPSG:")


def test_an_unknown_terrain_is_refused():
    with pytest.raises(CapacityError, match=r"terrain 'mars' found, one of jacksboro, .* expected"):
        read_terrain("mars")


def test_virtual_reservoirs_have_all_factors_and_a_true_capacity():
    reservoirs, water = virtual_reservoirs(*study.network("jacksboro"), 20, random_state=0)
    assert reservoirs[list(FACTORS)].notna().all(axis=None)
    assert len(reservoirs) == water.max() == 20
    mean_depth_m = reservoirs["capacity_1e6_m3"] / reservoirs["full_area_km2"]
    assert mean_depth_m.between(0, LARGEST_HEIGHT_M).all()


def test_two_areas_have_the_studys_numbers_and_lie_apart():
    reference, target, water = study.areas(0)
    assert (len(reference), len(target), target["known"].sum()) == (89, 123, 12)
    middle = water.shape[1] // 2
    assert (reference["outlet_col"] >= middle).all()
    assert (target["outlet_col"] < middle).all()
    both = pd.concat([reference, target])
    assert both["capacity_1e6_m3"].between(*SMALL_CAPACITY_1E6_M3).all()
    assert both[list(FACTORS)].notna().all(axis=None)
    _, n_bodies = ndimage.label(water > 0, np.ones((3, 3)))  # no two touch, corners included
    assert n_bodies == len(both) == water.max()


def test_a_transfer_is_scored_on_the_few_and_on_all():
    few, every = study.score_transfer("jacksboro, east", "jacksboro, west", "power law on Aws", seed=0)
    assert (few["scored_on"], few["n_train"], few["n_test"]) == ("known", 89, 12)
    assert (every["scored_on"], every["n_test"]) == ("all", 123)
    # by hand: a straight line in logarithms
    reference, target, _ = study.areas(0)
    line = np.polyfit(np.log(reference["Aws_km2"]), np.log(reference["capacity_1e6_m3"]), 1)
    estimated = np.exp(np.polyval(line, np.log(target["Aws_km2"])))
    assert every["mape_percent"] == pytest.approx(100 * np.mean(np.abs(estimated / target["capacity_1e6_m3"] - 1)))


@pytest.fixture
def seen(monkeypatch):
    """Training and held-out parts that a score asks estimates for."""
    parts = []

    def fit_and_estimate(model, train, test, features, random_state):
        parts.append((train, test))
        return np.full(len(test), 1.0) + np.arange(len(test)) / 100

    monkeypatch.setattr(study, "fit_and_estimate", fit_and_estimate)
    return parts


def test_a_terrain_is_estimated_for_itself_by_whole_sub_basins(seen):
    study.score_transfer("jacksboro", "jacksboro", "PSO-ELM", seed=1)
    assert len(seen) == 5
    assert sorted(label for _, test in seen for label in test.index) == list(range(1, 102))
    assert all(set(train["basin"]).isdisjoint(test["basin"]) for train, test in seen)


def test_splits_by_sub_basin_keep_them_together_and_random_ones_do_not(seen):
    for split in study.SPLITS:
        study.score_scenario(5, "ELM", seed=3, split=split)
    (random, random_test), (by_basin, by_basin_test) = seen
    assert not set(random["basin"]).isdisjoint(random_test["basin"])
    assert set(by_basin["basin"]).isdisjoint(by_basin_test["basin"])


def test_correlations_are_those_of_the_ranks_and_numbers():
    table = pd.DataFrame({factor: [1.0, 2, 3, 4] for factor in FACTORS} | {"capacity_1e6_m3": [1.0, 2, 4, 3]})
    found = pd.DataFrame(study.correlations(table)).set_index(["method", "factor"])["r"]
    assert found["kendall", "Asc_km2"] == pytest.approx(4 / 6)  # five pairs agree, one does not
    assert found["spearman", "Asc_km2"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found["pearson", "Rsc_m"] == pytest.approx(stats.pearsonr([1, 2, 3, 4], [1, 2, 4, 3]).statistic)


def test_a_quick_run_archives(tmp_path):
    runs = study.run("quick", tmp_path)["correlation"]
    assert len(runs) == 3 * 3 * len(FACTORS)
    assert (tmp_path / "correlation" / "manifest.json").exists()


def test_the_flow_network_agrees_with_taudem():
    if not datasets.is_present("taudem"):
        pytest.skip("needs taudem of the data root (set MILLPOND_DATA)")
    agreement = study.compare_with_taudem()
    assert agreement["cells_equal"] == 1
    assert agreement["path_max_difference_m"] < 0.5
    assert agreement["directions_equal"] >= 0.95
    assert agreement["directions_equal_in_flats"] > 0.99
    assert agreement["outlets_within"] > 0.99


def test_the_power_law_is_scored_by_hand():
    train = pd.DataFrame({"surface_area_km2": [0.1, 0.2, 0.4], "capacity_1e6_m3": [0.2, 0.4, 0.8]})  # V = 2 A
    test = pd.DataFrame({"surface_area_km2": [0.1, 0.2], "capacity_1e6_m3": [0.2, 0.8]})
    scores = study.score_power_law(train, test, ["surface_area_km2"])
    assert scores["mape_percent"] == pytest.approx(25)  # right, and half
    assert scores["median_ape_percent"] == pytest.approx(25)
    assert scores["total_ratio"] == pytest.approx(0.6)
    assert scores["r_squared"] == pytest.approx(1)
    assert scores["r2"] == pytest.approx(1 - 0.4**2 / (2 * 0.3**2))
    assert scores["r2_log"] == pytest.approx(1 - np.log(2) ** 2 / (2 * np.log(2) ** 2))


@pytest.fixture
def two_states(excerpts, monkeypatch):
    """The study on Virginia and Kentucky alone."""
    monkeypatch.setattr(study, "dams", cache(lambda small_only=True: read_nid(excerpts, small_only=small_only)))


@pytest.mark.usefixtures("two_states")
def test_real_dams_are_split_and_transferred():
    split = study.fit_split("surface", "VA", seed=0)
    assert split["n_test"] == pytest.approx(0.25 * split["n_train"], rel=0.02)
    transfer = study.fit_transfer("surface", "KY", seed=0)
    known, _ = study.dams()
    assert transfer["n_train"] == (known["state"] == "VA").sum()
    assert transfer["n_test"] == (known["state"] == "KY").sum()
    assert study.clean_nid()[-1]["rows_left"] == len(known)


@pytest.mark.usefixtures("two_states")
def test_without_the_limits_of_size_a_law_is_steeper():
    small, any_size = (study.fit_law("VA", size, seed=0) for size in ("small", "any"))
    assert any_size["n"] > small["n"]
    # selection by what is estimated cuts large volumes of small surfaces and small volumes of large ones
    assert any_size["exponent"] > small["exponent"]


def test_the_small_reservoirs_of_ceara_are_a_target():
    if not (datasets.is_present("nid") and datasets.is_present("ceara")):
        pytest.skip("needs nid and ceara of the data root (set MILLPOND_DATA)")
    found = study.fit_transfer("surface", study.CEARA, seed=0)
    assert found["n_test"] == 46  # counted in the published tables
    assert found["r_squared"] > 0.5
