import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from millpond.normalization import NormalizationError, climate, parcels
from millpond.normalization.histogram import BandHistogram
from millpond.normalization.parcels import MECHANISMS, SNOW, simulate_patch
from millpond.simulation.errors import SimulationError


def patch(seed=0, latitude_deg=47.0, day_of_year=150, **options):
    options = {"size": 96} | options
    return simulate_patch(latitude_deg, 12.0, day_of_year, rng=np.random.default_rng(seed), **options)


def test_the_same_seed_gives_the_same_patch_and_another_one_another():
    first, again, other = patch(3), patch(3), patch(4)
    assert (first.dn == again.dn).all()
    assert (first.parcels == again.parcels).all()
    assert (first.dn != other.dn).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(36, 64), st.integers(70, 280))
def test_image_and_truth_fit_together(seed, latitude_deg, day_of_year):
    simulated = patch(seed, latitude_deg, day_of_year, size=64)
    assert simulated.dn.shape == (4, 64, 64)
    assert simulated.dn.dtype == np.uint16
    assert simulated.dn.min() > 0
    assert set(np.unique(simulated.land_cover)) <= set(parcels.COVER)
    assert ((simulated.parcels > 0) == (simulated.land_cover == 40)).all()
    numbers = np.unique(simulated.parcels[simulated.parcels > 0])
    assert (numbers == np.arange(1, len(numbers) + 1)).all()
    sizes = np.bincount(simulated.parcels.ravel())[1:]
    assert (sizes >= parcels._MIN_PARCEL_PIXELS).all()


def test_almost_all_fields_are_of_one_piece():
    pieces = whole = 0
    for seed in range(12):
        numbers = patch(seed).parcels
        for number in range(1, numbers.max() + 1):
            pieces += ndimage.label(numbers == number, np.ones((3, 3)))[1]
            whole += 1
    assert whole > 100
    assert pieces < 1.05 * whole


def test_a_switched_off_mechanism_acts_as_at_48_degrees():
    far = patch(5, latitude_deg=60, without=MECHANISMS)
    reference = patch(5, latitude_deg=climate.REFERENCE_LATITUDE_DEG)
    assert (far.dn == reference.dn).all()


@pytest.mark.parametrize("mechanism", ["sun", "season", "cover", "soil"])
def test_each_mechanism_makes_a_difference(mechanism):
    # March: leaves, crops, sun and soils all differ between 38 and 48 degrees
    with_it, without = (patch(2, 38, 80, without=off) for off in ((), (mechanism,)))
    assert (with_it.dn != without.dn).mean() > 0.1


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_does_not_depend_on_a_mechanism_stays_as_it_is(mechanism):
    whole, without = (patch(11, 39, 120, cloud_share=0.2, without=off) for off in ((), (mechanism,)))
    assert (whole.mask == without.mask).all()
    assert whole.acquired == without.acquired
    if mechanism != "cover":
        assert (whole.land_cover == without.land_cover).all()
        assert (whole.parcels == without.parcels).all()
    # under the cloud, where little of the ground is seen, the same noise
    thick = (whole.dn[0] > 5500) & (without.dn[0] > 5500)
    assert np.corrcoef(whole.dn[0][thick], without.dn[0][thick])[0, 1] > 0.5


def test_passes_are_later_in_the_day_in_the_north():
    assert parcels.sun_at_pass(0, 80).azimuth_deg == pytest.approx(parcels.sun_at(0, 80, 10.5).azimuth_deg)
    # 11:16 at 53 N (tan 53 tan 8.62 = 0.2012; 11.6 degrees are 46 minutes)
    assert parcels.sun_at_pass(53, 172) == pytest.approx(parcels.sun_at(53, 172, 10.5 + 46.4 / 60), abs=0.05)


def test_crops_sown_in_autumn_go_on_over_new_year():
    def green(day):
        rng = np.random.default_rng(0)
        return parcels._field_covers(4000, (50.0, 10.0, day), 0.3, rng)[0].mean()

    assert abs(green(365) - green(1)) < 0.08


def test_margins_lie_on_both_sides_of_an_edge():
    labels = np.array([[1, 1, 1, 2, 2, 2]])
    assert parcels._edge(labels).tolist() == [[False, False, True, True, False, False]]


def test_the_tail_is_long():
    patches = [patch(seed, size=192) for seed in range(24)]
    histogram = BandHistogram.from_array(np.concatenate([p.dn for p in patches], axis=2), offset=0)
    assert (histogram.max > 2.5 * histogram.percentile(50)).all()
    assert (histogram.percentile(99.9) < 0.7 * histogram.max).all()


def test_nothing_is_brighter_than_the_instrument_can_tell():
    for seed in range(20):
        simulated = patch(seed)
        highest = 1.01 * 10_000 / np.sin(np.radians(simulated.sun.elevation_deg))
        assert simulated.dn.max() <= round(highest)


def test_clouds_are_masked_but_for_their_thin_edges():
    clear, cloudy = patch(7), patch(7, cloud_share=0.3)
    masked = cloudy.mask == parcels.CLOUD
    assert 0.1 < masked.mean() < 0.5
    brighter = cloudy.dn[0].astype(int) - clear.dn[0]
    assert brighter[masked].mean() > 1000
    assert brighter[~masked].mean() < 400


def test_snow_lies_in_the_north_in_winter_and_is_masked():
    north = [patch(seed, 62, 75) for seed in range(8)]
    south = [patch(seed, 37, 75) for seed in range(8)]
    assert sum((p.mask == SNOW).all() for p in north) >= 4
    assert not any((p.mask == SNOW).any() for p in south)


def test_seasons_come_later_in_the_north_and_swing_more_in_the_east():
    assert climate.degree_days(40, 10, 150) > climate.degree_days(55, 10, 150)
    for longitude_deg, swing in ((-10, 5), (45, 14.35)):
        warmest, coldest = (climate.temperature_c(37, longitude_deg, day) for day in (201, 201 + 182.5))
        assert warmest - coldest == pytest.approx(2 * swing)
    assert climate.temperature_c(47, 20, 201 + 91.25) == pytest.approx(17 - 5.3)
    assert climate.temperature_c(47, -10, 201 + 91.25) == pytest.approx(17 - 5.3 + 2)
    assert [climate.drought(*at) for at in ((37, 215), (47, 215), (37, 15))] == [1, 0, 0]


def test_places_are_spread_as_over_a_globe():
    places = parcels.draw_places(20_000, np.random.default_rng(0))
    # the band from 36 to 50 holds (sin 50 - sin 36) / (sin 66 - sin 36) of the area
    sin = np.sin(np.radians([36, 50, 66]))
    assert (places[:, 0] < 50).mean() == pytest.approx((sin[1] - sin[0]) / (sin[2] - sin[0]), abs=0.01)


def test_clear_days_are_rare_in_winter():
    rng = np.random.default_rng(0)
    days = np.array([parcels.draw_clear_day(52, rng) for _ in range(2000)])
    assert (days < 60).mean() < 0.6 * ((days > 150) & (days < 210)).mean()


def test_days_are_refused_where_the_sun_never_stands_high_enough():
    rng = np.random.default_rng(0)
    with pytest.raises(NormalizationError, match=r"days 340 to 360 at a latitude of 66 degrees found, one or more on"):
        parcels.draw_clear_day(66, rng, (340, 360))
    # one such day is enough
    first = next(day for day in range(1, 183) if parcels.sun_at_pass(66, day).elevation_deg >= 10)
    assert parcels.draw_clear_day(66, rng, (first - 10, first)) == first
    with pytest.raises(NormalizationError, match=f"days {first - 10} to {first - 1} at"):
        parcels.draw_clear_day(66, rng, (first - 10, first - 1))


def test_written_patches_are_read_back_with_their_place_and_date(tmp_path):
    simulated = patch(1)
    image = parcels.write_patch(simulated, tmp_path, "one")
    with rasterio.open(image) as file:
        assert (file.read() == simulated.dn).all()
        assert file.descriptions == ("B02", "B03", "B04", "B08")
        assert file.tags()["ACQUIRED"] == "2021-05-30"
        west, south, east, north = rasterio.warp.transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    assert (west + east) / 2 == pytest.approx(12.0, abs=1e-3)
    assert (south + north) / 2 == pytest.approx(47.0, abs=1e-3)
    with rasterio.open(tmp_path / "one_parcels.tif") as file:
        assert (file.read(1) == simulated.parcels).all()


def test_errors():
    with pytest.raises(
        NormalizationError, match=r"mechanisms moon found, some of sun, season, cover, soil, passes expected\. Name"
    ):
        patch(without=("moon",))
    with pytest.raises(NormalizationError, match=r"a patch of 16 pixels found, at least 32 expected\."):
        patch(size=16)
    with pytest.raises(SimulationError, match=r"sun elevation of .* degrees found, at least 10 expected\. Choose"):
        patch(latitude_deg=64, day_of_year=1)
