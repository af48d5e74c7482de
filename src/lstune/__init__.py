"""lstune: the fastest and most honest way to tune an LSTM on a time series.

Axis letters, everywhere the same: N windows, B batch, L lookback, C input channels, H horizon,
U units, G = 4U gates, E epochs, K folds.
"""

from lstune._version import __version__

__all__ = ["__version__"]
