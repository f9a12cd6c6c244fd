"""Tables of this process become Arrow tables of the same columns."""

from __future__ import annotations

import pandas as pd
import pytest

from purchasecast.frames import to_arrow


@pytest.mark.parametrize("index", [[5, 1], pd.Index(["a", "b"], name="key"), pd.RangeIndex(2)])
def test_the_index_of_a_pandas_table_is_no_column(index):
    table = to_arrow(pd.DataFrame({"item": ["x", "y"], "spend": [1.0, 2.0]}, index=index))
    assert table.to_pydict() == {"item": ["x", "y"], "spend": [1.0, 2.0]}
