import sys

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.transform import Affine
from scipy import ndimage

from millpond.normalization import BandHistogram, NormalizationError, fit_normalization
from millpond.normalization.delineation import FieldSegmenter
from millpond.normalization.polygons import parcel_polygons, parcels_of_scene, separate_parcels, write_polygons
from millpond.normalization.tiles import predict_scene, windows
from millpond.raster import RasterError, open_raster

TEN_METRES = Affine(10, 0, 600_000, 0, -10, 5_000_000)
BANDS = ("B02", "B03", "B04", "B08")


def write_scene(path, dn, transform=TEN_METRES):
    profile = {"driver": "GTiff", "dtype": "uint16", "count": len(dn), "crs": "EPSG:32633", "transform": transform}
    with rasterio.open(path, "w", height=dn.shape[1], width=dn.shape[2], **profile) as dataset:
        dataset.write(dn)
        dataset.descriptions = BANDS
    return path


def scene_of(rows, cols, seed=0):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(300, 5000, (4, -(-rows // 16), -(-cols // 16)))
    dn = np.kron(blocks, np.ones((16, 16)))[:, :rows, :cols] * rng.lognormal(0, 0.1, (4, rows, cols))
    return dn.astype(np.uint16)


@pytest.fixture(scope="module")
def segmenter():
    dn = np.stack([scene_of(64, 64, seed) for seed in range(4)])
    parcels = np.broadcast_to(np.kron(np.arange(16).reshape(4, 4), np.ones((16, 16), int)), (4, 64, 64))
    normalization = fit_normalization("p1-p99", BandHistogram.from_array(dn.swapaxes(0, 1).reshape(4, -1, 64)))
    return FieldSegmenter(normalization, max_epochs=2, batch_size=2, device="cpu").fit(dn, parcels)


# ---- tiles


@given(
    rows=st.integers(1, 200), cols=st.integers(1, 200), tile=st.sampled_from([32, 64]), overlap=st.sampled_from([0, 32])
)
def test_windows_cover_the_scene_once_and_begin_on_the_networks_grid(rows, cols, tile, overlap):
    covered = np.zeros((rows, cols), int)
    for keep, read in windows((rows, cols), tile, overlap):
        covered[keep.toslices()] += 1
        assert read.row_off % 32 == read.col_off % 32 == 0
        top, left = keep.row_off - read.row_off, keep.col_off - read.col_off
        assert top in (0, overlap)
        assert left in (0, overlap)
        assert read.row_off + read.height == min(keep.row_off + tile + overlap, rows)
        assert read.col_off + read.width == min(keep.col_off + tile + overlap, cols)
    assert (covered == 1).all()


def test_tiles_do_not_show_where_the_margin_is_as_wide_as_the_network_sees(tmp_path, segmenter):
    dn = scene_of(50, 900)
    whole = segmenter.predict_proba(dn[None])[0]
    path = write_scene(tmp_path / "scene.tif", dn)
    np.testing.assert_allclose(predict_scene(segmenter, path, tile=160, overlap=352), whole, atol=1e-5)
    # and the test is able to fail: a narrow margin shows
    assert abs(predict_scene(segmenter, path, tile=64, overlap=0) - whole).max() > 0.01


def test_the_written_scene_is_the_returned_one_and_lies_where_the_scene_lies(tmp_path, segmenter):
    dn = scene_of(70, 100)
    dn[:, :5] = 0
    dn[2, 30, 40] = 0
    path = write_scene(tmp_path / "scene.tif", dn)
    returned = predict_scene(segmenter, path, tile=32, overlap=32)
    out = predict_scene(segmenter, path, tmp_path / "out.tif", tile=32, overlap=32)
    with open_raster(out) as raster:
        assert raster.bands == ("extent", "boundary", "distance")
        assert (raster.transform, raster.crs) == (TEN_METRES, "EPSG:32633")
        np.testing.assert_array_equal(raster.read(), returned)
    assert np.isnan(returned[:, :5]).all()
    assert np.isnan(returned[:, 30, 40]).all()
    assert np.isnan(returned).sum() == 3 * (5 * 100 + 1)
    with open_raster(path) as raster:
        np.testing.assert_array_equal(predict_scene(segmenter, raster, tile=32, overlap=32), returned)
    with pytest.raises(RasterError, match="an input or another output found"):
        predict_scene(segmenter, path, path)


def test_a_terminal_sees_how_many_tiles_are_done(tmp_path, segmenter, monkeypatch, capsys):
    path = write_scene(tmp_path / "scene.tif", scene_of(64, 96))
    predict_scene(segmenter, path, tile=32, overlap=0)
    assert capsys.readouterr().err == ""  # a file or a pipe gets no bar
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    predict_scene(segmenter, path, tile=32, overlap=0, progress=False)
    assert capsys.readouterr().err == ""
    predict_scene(segmenter, path, tile=32, overlap=0)
    assert "| 6/6 [" in capsys.readouterr().err


def test_a_scene_of_another_offset_is_shifted(tmp_path, segmenter):
    dn = scene_of(32, 32)
    dn[:, 0, 0] = 0
    dn[:, 0, 1] = 65535
    later = np.where((dn == 0) | (dn == 65535), dn, dn + 1000)
    known = FieldSegmenter(segmenter.normalization, device="cpu")
    vars(known).update(vars(segmenter))
    known.normalization = fit_normalization("p1-p99", BandHistogram.from_array(dn, offset=0))
    before, since = write_scene(tmp_path / "before.tif", dn), write_scene(tmp_path / "since.tif", later)
    np.testing.assert_array_equal(
        predict_scene(known, before, offset=0), predict_scene(known, since, offset=1000), strict=True
    )
    with pytest.raises(NormalizationError, match=r"before\.tif: radiometric offset unknown, .* on offset 0\. State it"):
        predict_scene(known, before)
    with pytest.raises(
        NormalizationError, match=r"before\.tif: radiometric offset 0 found, .* of unknown offset\. Fit"
    ):
        predict_scene(segmenter, before, offset=0)


def test_an_offset_means_nothing_to_a_network_without_normalization(tmp_path):
    path = write_scene(tmp_path / "scene.tif", scene_of(32, 32))
    for offset in (0, 1000):
        with pytest.raises(
            NormalizationError, match=f"offset={offset} for a network without normalization found, none"
        ):
            predict_scene(FieldSegmenter(None), path, offset=offset)


def test_bands_must_be_those_of_the_normalization_in_its_order(tmp_path, segmenter):
    path = write_scene(tmp_path / "scene.tif", scene_of(32, 32))
    expected = predict_scene(segmenter, path)
    for bands in (BANDS[::-1], BANDS[:3]):
        refused = rf"bands {', '.join(bands)} found, B02, B03, B04, B08 in this order expected"
        with open_raster(path, bands) as raster, pytest.raises(NormalizationError, match=refused):
            predict_scene(segmenter, raster)
        with pytest.raises(NormalizationError, match=refused):
            predict_scene(segmenter, path, bands=bands)
    np.testing.assert_array_equal(predict_scene(segmenter, path, bands=("B2", "B3", "B4", "B8")), expected)


@pytest.mark.parametrize("setting", [{"tile": 100}, {"overlap": 16}, {"tile": 0}])
def test_tiles_off_the_networks_grid_are_refused(tmp_path, segmenter, setting):
    with pytest.raises(NormalizationError, match="multiples of 32 expected"):
        predict_scene(segmenter, write_scene(tmp_path / "scene.tif", scene_of(32, 32)), **setting)


# ---- parcels


def test_a_ridge_parts_two_fields():
    extent = np.full((3, 9), 0.9)
    extent[:, 8] = 0.1
    boundary = np.tile([0, 0, 0.2, 0.8, 0.9, 0.6, 0, 0, 0], (3, 1))
    # from the left 0.8, from the right 0.6 are flooded before the ridge at 0.9, which the right reaches first
    expected = np.tile([1, 1, 1, 1, 2, 2, 2, 2, 0], (3, 1))
    np.testing.assert_array_equal(separate_parcels(extent, boundary, smallest=1), expected)


def test_small_parcels_go_to_their_neighbours_or_up():
    extent = np.ones((4, 12))
    extent[:, 8] = 0
    extent[1:, 9:] = 0
    boundary = np.zeros((4, 12))
    boundary[:, 5] = 1  # both sides reach it at once; then 6 x 4 pixels, 2 x 4 pixels, and three alone
    cut = separate_parcels(extent, boundary, smallest=1)
    assert [(cut == i).sum() for i in (1, 2, 3)] == [24, 8, 3]
    np.testing.assert_array_equal(
        separate_parcels(extent, boundary, smallest=13) > 0, np.arange(12) < np.full((4, 1), 8)
    )
    assert separate_parcels(extent, boundary, smallest=13).max() == 1


def test_small_parcels_of_a_large_enough_field_are_merged_smallest_first_over_the_lowest_ridge():
    # pieces of 3 x 3, 3 x 3, 3 x 3 and 3 x 4 pixels; a ridge goes to the piece on its left
    boundary = np.tile([0, 0, 0.3, 0, 0, 0.9, 0, 0, 0.5, 0, 0, 0, 0], (3, 1))
    extent = np.ones((3, 13))
    cut = separate_parcels(extent, boundary, smallest=1)
    assert np.bincount(cut.ravel()).tolist() == [0, 9, 9, 9, 12]
    # the first two are merged over 0.3; the third is as small, and goes over 0.5 to the last
    np.testing.assert_array_equal(separate_parcels(extent, boundary, smallest=13), np.tile([1] * 6 + [2] * 7, (3, 1)))
    assert (separate_parcels(extent, boundary, smallest=30) == 1).all()
    assert (separate_parcels(extent, boundary, smallest=40) == 0).all()


def test_a_field_that_is_all_boundary_is_a_parcel():
    extent = np.zeros((5, 5))
    extent[1:4, 1:3] = 1
    np.testing.assert_array_equal(separate_parcels(extent, np.ones((5, 5)), smallest=1), extent)


probabilities = hnp.arrays(np.float32, (9, 11), elements=st.sampled_from([0, 0.3, 0.6, 0.9, float("nan")]))


@given(extent=probabilities, boundary=probabilities, smallest=st.integers(1, 6))
def test_parcels_are_connected_numbered_and_large_enough(extent, boundary, smallest):
    parcels = separate_parcels(extent, boundary, smallest=smallest)
    numbers, sizes = np.unique(parcels[parcels > 0], return_counts=True)
    np.testing.assert_array_equal(numbers, np.arange(1, len(numbers) + 1))
    assert (sizes >= smallest).all()
    assert not parcels[~(extent >= 0.5)].any()
    pieces, _ = ndimage.label(extent >= 0.5)
    np.testing.assert_array_equal(parcels > 0, (pieces > 0) & (np.bincount(pieces.ravel()) >= smallest)[pieces])
    table = parcel_polygons(parcels, TEN_METRES, "EPSG:32633", tolerance=0)
    assert (table.geom_type == "Polygon").all()


# ---- polygons


def staircase():
    rows, cols = np.mgrid[:40, :40]
    return np.where(rows > 25, 3, np.where(cols > 10 + rows // 2, 2, 1)).astype(np.int32)


def test_neighbours_stay_joined_when_simplified():
    parcels = staircase()
    exact = parcel_polygons(parcels, TEN_METRES, "EPSG:32633", tolerance=0)
    table = parcel_polygons(parcels, TEN_METRES, "EPSG:32633")
    assert table.geometry.is_valid.all()
    assert shapely.coverage_is_valid(table.geometry.values)
    assert shapely.get_num_coordinates(table.geometry.values).sum() < 25
    assert shapely.get_num_coordinates(exact.geometry.values).sum() > 50
    assert table.union_all().area == pytest.approx(400 * 400)
    assert table.total_bounds.tolist() == [600_000, 4_999_600, 600_400, 5_000_000]


@given(parcels=hnp.arrays(np.int32, (7, 8), elements=st.integers(0, 3)), tolerance=st.sampled_from([0.5, 1, 3]))
def test_any_map_becomes_valid_polygons_that_do_not_overlap(parcels, tolerance):
    table = parcel_polygons(parcels, TEN_METRES, "EPSG:32633", tolerance=tolerance)
    assert table["parcel"].tolist() == np.unique(parcels[parcels > 0]).tolist()
    assert table.geometry.is_valid.all()
    assert table.area.sum() == pytest.approx(table.union_all().area)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3857", "EPSG:4326"])
def test_areas_are_those_on_the_ellipsoid_in_any_crs(crs):
    table = parcel_polygons(np.ones((10, 10), int), TEN_METRES, "EPSG:32633").to_crs(crs)
    left, bottom, right, top = table.total_bounds
    grid = Affine((right - left) / 10, 0, left, 0, (bottom - top) / 10, top)
    area = parcel_polygons(np.ones((10, 10), int), grid, crs)["area_ha"].item()
    assert area == pytest.approx(1, rel=0.06)  # 1 ha, turned by the convergence of the meridians
    if crs == "EPSG:32633":
        lon = parcel_polygons(np.ones((10, 10), int), grid, crs).to_crs("EPSG:4326").geometry.item()
        assert area == pytest.approx(abs(table.crs.get_geod().geometry_area_perimeter(lon)[0]) / 10_000, rel=1e-6)


def test_a_parcel_of_two_pieces_is_one_row():
    table = parcel_polygons(np.array([[4, 0, 4], [0, 4, 0]]), TEN_METRES, "EPSG:32633", tolerance=0)
    assert table["parcel"].tolist() == [4]
    assert table.geometry.area.item() == 300


def test_a_scene_becomes_a_geopackage(tmp_path, segmenter):
    path = write_scene(tmp_path / "scene.tif", scene_of(64, 96))
    parcels, transform, crs = parcels_of_scene(predict_scene(segmenter, path, tmp_path / "out.tif"))
    assert parcels.shape == (64, 96)
    table = parcel_polygons(staircase(), transform, crs)
    write_polygons(table, tmp_path / "fields.gpkg")
    read = gpd.read_file(tmp_path / "fields.gpkg")
    assert read.crs == "EPSG:32633"
    assert list(read.columns) == ["parcel", "area_ha", "geometry"]
    np.testing.assert_allclose(read["area_ha"], table["area_ha"])
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(NormalizationError, match="no folder"):
        write_polygons(table, tmp_path / "none" / "fields.gpkg")


def test_no_parcels_are_an_empty_table(tmp_path):
    table = parcel_polygons(np.zeros((4, 4), int), TEN_METRES, "EPSG:32633")
    assert len(table) == 0
    write_polygons(table, tmp_path / "empty.gpkg")
    assert len(gpd.read_file(tmp_path / "empty.gpkg")) == 0


def test_what_can_not_be_outlined_is_refused():
    with pytest.raises(NormalizationError, match="no coordinate reference system found"):
        parcel_polygons(np.ones((2, 2), int), TEN_METRES, None)
    with pytest.raises(NormalizationError, match=r"extent of shape \(2, 2\) and boundary of \(2, 3\) found"):
        separate_parcels(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(NormalizationError, match="smallest parcel of 0 pixels found"):
        separate_parcels(np.ones((2, 2)), np.ones((2, 2)), smallest=0)
