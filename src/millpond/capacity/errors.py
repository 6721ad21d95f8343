from millpond.errors import MillpondError


class CapacityError(MillpondError):
    """A terrain, a reservoir or a model of the capacity room can't be used as asked."""
