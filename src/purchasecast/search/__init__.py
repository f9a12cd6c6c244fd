"""Grid search of a linear regression in one pass over the data."""

from purchasecast.search.estimator import LinearRegressionGridSearch, fold_lines
from purchasecast.search.grid import DEFAULT_GRID, ParamGrid, parse_grid
from purchasecast.search.model import LinearRegressionGridSearchModel

__all__ = [
    "DEFAULT_GRID",
    "LinearRegressionGridSearch",
    "LinearRegressionGridSearchModel",
    "ParamGrid",
    "fold_lines",
    "parse_grid",
]
