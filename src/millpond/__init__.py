"""Reading small reservoirs from space: the package behind the executable book."""

__version__ = "0.1.0"
