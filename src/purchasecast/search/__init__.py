"""Grid search of a linear regression in one pass over the data.

The saved path of the estimator and its model is this package's: a class may move to another file without breaking a
saved model.
"""

from purchasecast.search.estimator import LinearRegressionGridSearch
from purchasecast.search.exact import fit_exact, fold_lines
from purchasecast.search.grid import DEFAULT_GRID, ParamGrid, parse_grid
from purchasecast.search.model import LinearRegressionGridSearchModel

__all__ = [
    "DEFAULT_GRID",
    "LinearRegressionGridSearch",
    "LinearRegressionGridSearchModel",
    "ParamGrid",
    "fit_exact",
    "fold_lines",
    "parse_grid",
]

for _stage in (LinearRegressionGridSearch, LinearRegressionGridSearchModel):
    _stage.__module__ = __name__  # Spark saves `__module__` and the class name, and imports a stage by them
