"""How to normalize long-tailed satellite images for deep learning."""

from millpond.normalization.errors import NormalizationError
from millpond.normalization.exploration import PatchStatistics, patch_statistics
from millpond.normalization.histogram import BandHistogram
from millpond.normalization.transforms import (
    DIFFERENCES,
    NORMALIZATIONS,
    RIVALS,
    Division,
    DriftWarning,
    DynamicWorld,
    Equalization,
    Linear,
    Normalization,
    Standardization,
    fit_normalization,
)
from millpond.sentinel2 import radiometric_offset

__all__ = [
    "DIFFERENCES",
    "NORMALIZATIONS",
    "RIVALS",
    "BandHistogram",
    "Division",
    "DriftWarning",
    "DynamicWorld",
    "Equalization",
    "Linear",
    "Normalization",
    "NormalizationError",
    "PatchStatistics",
    "Standardization",
    "fit_normalization",
    "patch_statistics",
    "radiometric_offset",
]
