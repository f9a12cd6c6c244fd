"""How a date is written: Spark's pattern letters, and those of Python's ``strptime`` turned into them.

See https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html
"""

from __future__ import annotations

import re

__all__ = ["spark_date_format"]

#: The pattern letters that Spark reads dates by, and how often each may stand in a row.
_MAX_COUNTS = {
    "G": 4,
    "y": 6,
    "M": 4,
    "L": 4,
    "d": 2,
    "D": 3,
    "a": 1,
    "H": 2,
    "h": 2,
    "K": 2,
    "k": 2,
    "m": 2,
    "s": 2,
    "S": 9,
    "V": 2,
    "z": 4,
    "O": 4,
    "X": 5,
    "x": 5,
    "Z": 5,
}
# One letter takes one digit or two, as strptime does.
_SPARK_OF_STRPTIME = {
    "Y": "yyyy",
    "m": "M",
    "b": "MMM",
    "h": "MMM",
    "B": "MMMM",
    "d": "d",
    "e": "d",
    "H": "H",
    "I": "h",
    "p": "a",
    "M": "m",
    "S": "s",
    "f": "SSSSSS",
    "%": "%",
}
_COMPOSED = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M"}
_DIRECTIVE = re.compile(r"%-?(.)", re.DOTALL)
_RUNS = re.compile(r"'[^']*'|([A-Za-z])\1*")
_EXPECTED = "Spark's pattern letters, such as M/d/yyyy for 2/29/2024"


def spark_date_format(text: str) -> str:
    """Return a date format in Spark's pattern letters.

    Parameters
    ----------
    text : str
        A format in Spark's letters, or in those of Python's ``strptime``.

    Returns
    -------
    str
        The format in Spark's letters.

    Raises
    ------
    ValueError
        If it is neither; the message says what was expected and what may have been meant.

    Examples
    --------
    >>> spark_date_format("%m/%d/%Y"), spark_date_format("%Y%m%dT%H:%M"), spark_date_format("dd.MM.yyyy")
    ('M/d/yyyy', "yyyyMMdd'T'H:m", 'dd.MM.yyyy')
    """
    # A format in Spark's letters may hold a % too: it has a year in Spark's letters.
    pattern = _from_strptime(text) if "%" in text and not re.search("y{2}", _DIRECTIVE.sub("", text)) else text
    meant = _likely_meant(pattern)
    hint = f"; did you mean {meant}?" if meant != pattern and not _problem(meant) else ""
    if problem := _problem(pattern):
        raise ValueError(f"expected {_EXPECTED}, found {text} ({problem}){hint}")
    return pattern


def _from_strptime(text: str) -> str:
    for directive, meaning in _COMPOSED.items():
        text = text.replace(f"%{directive}", meaning)
    pattern, end, was_number = "", 0, False
    for match in _DIRECTIVE.finditer(text):
        literal, letter = text[end : match.start()], match.group(1)
        if letter in "yD":  # the two disagree on 69: 1969 and 2069
            raise ValueError(f"expected {_EXPECTED}, found {text}; write yy, where years are those from 2000 to 2099")
        if letter not in _SPARK_OF_STRPTIME:
            raise ValueError(f"expected {_EXPECTED}, found {text} (%{letter} cannot be turned into them)")
        field = _SPARK_OF_STRPTIME[letter]
        is_number = letter not in "bhBp%"
        follows_number = was_number and not literal
        is_followed = is_number and re.match(r"%-?[^bhBp%]", text[match.end() :]) is not None
        if len(field) == 1 and is_number and (follows_number or is_followed):
            field *= 2  # without a separator, digits can be told apart by their number only
        pattern += _quoted(literal) + field
        end, was_number = match.end(), is_number
    return pattern + _quoted(text[end:])


def _quoted(literal: str) -> str:
    """Return a text that stands for itself in Spark's pattern."""
    return re.sub(r"[A-Za-z\[\]{}#]+", r"'\g<0>'", literal.replace("'", "''"))


def _problem(pattern: str) -> str:
    """Say why Spark could not read dates by a pattern; an empty text where it can."""
    runs = [run.group(0) for run in _RUNS.finditer(pattern) if run.group(1)]
    for run in runs:
        if len(run) > _MAX_COUNTS.get(run[0], 0):
            return f"{run} is none of them"
    letters = {run[0] for run in runs}
    if "y" not in letters:
        return "it has no year, y"
    if "d" in letters and not letters & {"M", "L"}:
        return "it has no month, M"
    if "D" in letters and letters & {"M", "L", "d"}:
        return "D is the day of the year"
    return ""


def _likely_meant(pattern: str) -> str:
    """Return the pattern with the letters that other programs use for years, months and days replaced."""
    has_month = re.search("[ML]", pattern) is not None

    def meant(run: re.Match[str]) -> str:
        letters = run.group(0)
        if run.group(1) in {"Y", "D"} and has_month:
            return letters.lower()
        if run.group(1) in {"Y", "m"} and not has_month and not re.search("[HhKk]", pattern):
            return letters.swapcase()
        return letters

    return _RUNS.sub(meant, pattern)
