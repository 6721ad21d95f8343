"""Nothing that trains is tested: for each data set that a study splits, neither a copy nor a look ahead."""

import hashlib
import shutil

import numpy as np
import pytest

from millpond import datasets
from millpond.capacity.inventory import read_ceara, read_nid
from millpond.capacity.study import reservoir_set
from millpond.level import read_scenes
from millpond.lstm_cnn.datasets import load_digits, load_idc, load_mnist
from millpond.lstm_cnn.study import tissue_parts

needs = {
    name: pytest.mark.skipif(not datasets.is_present(name), reason="needs the data root")
    for name in ("mnist", "idc", "nid", "ceara", "itoiz")
}


def digests(images: np.ndarray) -> list[str]:
    return [hashlib.sha256(np.ascontiguousarray(image)).hexdigest() for image in images]


@needs["mnist"]
def test_no_digit_of_mnist_trains_and_tests():
    assert not set(digests(load_mnist("train").images)) & set(digests(load_mnist("test").images))


def test_no_bundled_digit_is_there_twice():
    seen = digests(load_digits().images)
    assert len(set(seen)) == len(seen)


@needs["idc"]
@pytest.mark.parametrize("split", ["by patch", "by patient"])
def test_no_patch_of_tissue_is_in_two_parts_and_no_patient_where_split_by_patient(split):
    data = load_idc()
    parts = tissue_parts(data, split, seed=0)
    assert sorted(np.concatenate(parts)) == list(range(len(data)))
    seen = [set(digests(data.images[part])) for part in parts]
    patients = [set(data.groups[part]) for part in parts]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not seen[one] & seen[other]
        assert bool(patients[one] & patients[other]) == (split == "by patch")


@needs["nid"]
def test_no_reservoir_of_the_inventory_of_dams_is_there_twice():
    dams, _ = read_nid(datasets.path("nid") / "nid.csv.gz")
    alike = dams.groupby(["state", "capacity_1e6_m3", "surface_area_km2", "drainage_area_km2"])
    apart_deg = alike[["latitude_deg", "longitude_deg"]].agg(np.ptp).max(axis=1)
    assert (apart_deg[alike.size() > 1] > 0.1).all()
    assert dams["nid_id"].is_unique


@needs["ceara"]
def test_no_reservoir_of_ceara_is_there_twice():
    reservoirs, _, _ = read_ceara(datasets.path("ceara"))
    assert reservoirs.index.is_unique
    assert not reservoirs.duplicated().any()


def test_no_virtual_reservoir_is_there_twice():
    assert not reservoir_set(0).drop(columns="basin").duplicated().any()


@needs["itoiz"]
def test_scenes_of_a_date_do_not_depend_on_later_ones(tmp_path):
    folder = tmp_path / "itoiz"
    shutil.copytree(datasets.path("itoiz"), folder)
    whole = read_scenes(folder)
    day = whole.dates[len(whole.dates) // 2]
    for path in (folder / "sentinel2_l2a").glob("*.tif"):
        if path.stem.removeprefix("S2_") > day.strftime("%Y%m%d"):
            path.unlink()
    early = read_scenes(folder)
    n = (whole.dates <= day).sum()
    np.testing.assert_array_equal(early.dates, whole.dates[:n])
    np.testing.assert_array_equal(early.images, whole.images[:n])
    np.testing.assert_array_equal(early.level_m, whole.level_m[:n])
