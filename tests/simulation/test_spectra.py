import numpy as np
import pytest

from millpond.simulation.errors import SimulationError
from millpond.simulation.spectra import BANDS, PLASTIC, SURFACES, draw_spectra, measured_spectra


def band(spectra, name):
    return spectra[:, BANDS.index(name)]


def test_measured_spectra_are_landsat_s_own():
    water, vegetation, urban = (measured_spectra(name) for name in ("water", "vegetation", "urban land"))
    assert len(water) + len(vegetation) + len(urban) == 120
    assert water.shape[1] == len(BANDS)
    assert min(water.min(), vegetation.min(), urban.min()) > 0
    # What everybody knows of them: water is dark in the infrared, leaves jump from red to infrared, towns rise slowly.
    assert (band(water, "B08") < 0.04).all()
    assert (band(vegetation, "B08") > 2.5 * band(vegetation, "B04")).all()
    assert (np.diff(urban[:, :4], axis=1) > 0).all()


@pytest.mark.parametrize(
    ("surface", "material"), [("water", "water"), ("green space", "vegetation"), ("construction", "urban land")]
)
def test_draws_of_a_measured_material_have_its_mean_spread_and_correlation(surface, material):
    drawn, measured = np.log(draw_spectra(surface, 20_000, 0)), np.log(measured_spectra(material))
    np.testing.assert_allclose(drawn.mean(axis=0), measured.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(drawn.std(axis=0), measured.std(axis=0, ddof=1), rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.corrcoef(measured.T), atol=0.03)


def test_mixtures_lie_between_what_they_are_mixed_of():
    cultivated = draw_spectra("cultivated", 4000, 1).mean(axis=0)
    # The mean share of vegetation is a half.
    half = (np.mean([draw_spectra(name, 4000, 2) for name in ("green space", "construction")], axis=0)).mean(axis=0)
    np.testing.assert_allclose(cultivated, half, rtol=0.03)
    # 0.6 of the film and 0.4 of leaves, whose mean reflectance in the measured spectra is 0.0277 and 0.2697.
    greenhouse = draw_spectra("greenhouse", 4000, 3)
    assert band(greenhouse, "B02").mean() == pytest.approx(0.6 * 0.30 + 0.4 * 0.0277, rel=0.02)
    assert band(greenhouse, "B08").mean() == pytest.approx(0.6 * 0.33 + 0.4 * 0.2697, rel=0.02)
    assert (band(greenhouse, "B02") < PLASTIC[0]).all()


@pytest.mark.parametrize("surface", SURFACES)
def test_no_two_draws_are_alike_and_one_seed_gives_the_same_bits(surface):
    drawn = draw_spectra(surface, 500, 7)
    assert len(np.unique(drawn, axis=0)) == 500
    assert ((drawn > 0) & (drawn <= 1)).all()
    assert draw_spectra(surface, 500, 7).tobytes() == drawn.tobytes()
    assert (draw_spectra(surface, 500, 8) != drawn).any()


def test_what_has_no_spectrum_is_refused():
    with pytest.raises(SimulationError, match=r"material 'snow' found, one of water, vegetation, urban land expected"):
        measured_spectra("snow")
    with pytest.raises(SimulationError, match=r"surface 'snow' found, one of water, .*greenhouse expected"):
        draw_spectra("snow", 3)
