from millpond.errors import MillpondError


class SimulationError(MillpondError):
    """A scene can't be simulated as asked."""
