from millpond.errors import MillpondError


class ClassificationError(MillpondError):
    """Images, labels or a network of the LSTM-CNN room can't be used as asked."""
