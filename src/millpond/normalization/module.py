"""A fitted normalization as a layer of a network, so that it travels with the weights and runs where they run."""

import numpy as np
import torch

from millpond.normalization.errors import NormalizationError


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
        """Normalize (..., n_bands, rows, cols) digital numbers (integers in 0..65535) to float32 of the same shape.

        Raises
        ------
        NormalizationError
            If the shape, the type or, unless compiled or exported, a value doesn't fit.
        """
        n_bands, n_dn = self.table.shape
        if dn.ndim < 3 or dn.shape[-3] != n_bands or dn.is_floating_point():
            raise NormalizationError(
                f"a tensor of shape {tuple(dn.shape)} and type {dn.dtype} found, integers of shape "
                f"(..., {n_bands}, rows, cols) expected."
            )
        index = dn.long()
        checked = dn.dtype != torch.uint16 and not torch.compiler.is_compiling()  # a graph can't branch on its data
        if checked and index.numel() and not 0 <= index.min() <= index.max() < n_dn:
            raise NormalizationError(
                f"values from {index.min()} to {index.max()} found, digital numbers in 0..65535 expected."
            )
        bands = torch.arange(n_bands, device=dn.device).view(-1, 1, 1)
        return self.table[bands, index]
