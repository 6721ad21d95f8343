"""One family of errors, so that a command can tell a mistake in its input from a defect in the code."""


class MillpondError(Exception):
    """The caller's input is wrong; the message says what was found, what was expected and how to mend it."""


class RasterError(MillpondError):
    """A raster can't be used as asked; the message names the file, the finding, the expectation and the mend."""
