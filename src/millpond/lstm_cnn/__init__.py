"""Image classification with an LSTM and a convolution, one after the other."""

from millpond.lstm_cnn.classifier import SequenceClassifier
from millpond.lstm_cnn.errors import ClassificationError
from millpond.lstm_cnn.networks import NETWORKS, build_network

__all__ = ["NETWORKS", "ClassificationError", "SequenceClassifier", "build_network"]
