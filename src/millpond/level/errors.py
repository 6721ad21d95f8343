from millpond.errors import MillpondError


class LevelError(MillpondError):
    """Scenes, gauge records or a model of water levels can't be used as asked."""
