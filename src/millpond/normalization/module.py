"""A fitted normalization as a layer of a network, so that it travels with the weights and runs where they run."""

import numpy as np
import torch


class NormalizationModule(torch.nn.Module):
    """Look up digital numbers in a fitted table; gives the same numbers as `Normalization.transform`.

    Parameters
    ----------
    table : (n_bands, 65536) float32 array
        `Normalization.table`.
    """

    def __init__(self, table: np.ndarray):
        super().__init__()
        self.register_buffer("table", torch.tensor(table))

    def forward(self, dn: torch.Tensor) -> torch.Tensor:
        """Normalize (..., n_bands, rows, cols) digital numbers (any integer type) to float32 of the same shape."""
        bands = torch.arange(len(self.table), device=dn.device).view(-1, 1, 1)
        return self.table[bands, dn.long()]
