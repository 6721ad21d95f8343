from millpond.errors import MillpondError


class NormalizationError(MillpondError):
    """A histogram or a normalization can't be used as asked."""
