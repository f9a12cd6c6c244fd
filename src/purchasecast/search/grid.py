"""The candidates of a grid search, and how users write them."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from purchasecast.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DEFAULT_GRID", "ParamGrid", "parse_grid"]

_NAMES = ("regParam", "elasticNetParam")


@dataclass(frozen=True, slots=True)
class ParamGrid:
    """Penalties and L1 ratios to try, all pairs of them.

    Attributes
    ----------
    reg_param : tuple of float
        Penalties of at least 0, on the scale of the label.
    elastic_net_param : tuple of float, default (0.0,)
        L1 ratios from 0 (ridge) to 1 (lasso).

    Raises
    ------
    SettingsError
        If a tuple is empty or a number is outside its range.

    Examples
    --------
    >>> ParamGrid((0.1, 1.0), (0.0, 0.5)).candidates()
    ((0.1, 0.0), (0.1, 0.5), (1.0, 0.0), (1.0, 0.5))
    """

    reg_param: tuple[float, ...]
    elastic_net_param: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        for name, values, top in zip(_NAMES, (self.reg_param, self.elastic_net_param), (math.inf, 1.0), strict=True):
            if not values:
                raise SettingsError(f"{name}: expected at least one value, found none; give a number such as 0.1.")
            for value in values:
                if not (0.0 <= value <= top and math.isfinite(value)):
                    allowed = "a finite number of at least 0" if top > 1 else "a number from 0 to 1"
                    raise SettingsError(f"{name}: expected {allowed}, found {value:g}; remove that value.")

    def candidates(self) -> tuple[tuple[float, float], ...]:
        """Return the pairs (regParam, elasticNetParam); elasticNetParam varies fastest."""
        return tuple(product(self.reg_param, self.elastic_net_param))


# A factor of about 3 between penalties: the held-out error changes little between two neighbours.
DEFAULT_GRID = ParamGrid((0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))


def parse_grid(source: str | Path) -> ParamGrid:
    """Read a grid from a TOML file or from text.

    Parameters
    ----------
    source : str or Path
        Path of a ``.toml`` file with the lists ``regParam`` and ``elasticNetParam``, or text such as
        ``regParam=0.01,0.1 elasticNetParam=0,0.5,1``. A missing list is that of `DEFAULT_GRID`.

    Returns
    -------
    ParamGrid
        The grid.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a name or a number is wrong.

    Examples
    --------
    >>> parse_grid("regParam=0.01,0.1 elasticNetParam=0,0.5,1")
    ParamGrid(reg_param=(0.01, 0.1), elastic_net_param=(0.0, 0.5, 1.0))
    """
    text = str(source).strip()
    lists = _from_toml(Path(text)) if text.endswith(".toml") else _from_text(text)
    unknown = sorted(set(lists) - set(_NAMES))
    if unknown or not lists:
        raise SettingsError(
            f"grid: expected {' and '.join(_NAMES)}, found {', '.join(unknown) or 'nothing'}; "
            "write for example 'regParam=0.01,0.1'."
        )
    return ParamGrid(lists.get(_NAMES[0], DEFAULT_GRID.reg_param), lists.get(_NAMES[1], DEFAULT_GRID.elastic_net_param))


def _from_toml(path: Path) -> Mapping[str, tuple[float, ...]]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"grid: expected a readable TOML file, found {path}: {error}; correct the file.") from error
    return {name: _floats(name, v if isinstance(v, list) else [v]) for name, v in table.items()}


def _from_text(text: str) -> Mapping[str, tuple[float, ...]]:
    lists: dict[str, tuple[float, ...]] = {}
    for part in text.split():
        name, equals, values = part.partition("=")
        if not equals or name in lists:
            raise SettingsError(
                f"grid: expected NAME=NUMBER,NUMBER once for each name, found {part!r}; "
                "write for example 'regParam=0.01,0.1 elasticNetParam=0,0.5,1'."
            )
        lists[name] = _floats(name, values.split(","))
    return lists


def _floats(name: str, values: Sequence[object]) -> tuple[float, ...]:
    try:
        return tuple(float(str(value)) for value in values)
    except ValueError as error:
        raise SettingsError(f"{name}: expected numbers, found {values!r}; separate them by commas.") from error
