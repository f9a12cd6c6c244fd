"""How a date is written: Spark's pattern letters, and those of Python's ``strptime`` turned into them.

See https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MONTHS", "date_regex", "pattern_runs", "spark_date_format"]

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
# The pattern letters that the scorer can read too; a field's name, where the day depends on it, and its text.
_FIELDS = {
    "yyyy": ("year", "[0-9]{4}"),
    "yy": ("short", "[0-9]{2}"),
    "MMMM": ("name", "|".join(MONTHS)),
    "MMM": ("name", "|".join(name[:3] for name in MONTHS)),
    "MM": ("month", "0[1-9]|1[0-2]"),
    "M": ("month", "0?[1-9]|1[0-2]"),
    "dd": ("day", "0[1-9]|[12][0-9]|3[01]"),
    "d": ("day", "0?[1-9]|[12][0-9]|3[01]"),
    "HH": ("", "[01][0-9]|2[0-3]"),
    "H": ("", "[01]?[0-9]|2[0-3]"),
    "hh": ("", "0[1-9]|1[0-2]"),
    "h": ("", "0?[1-9]|1[0-2]"),
    "mm": ("", "[0-5][0-9]"),
    "m": ("", "[0-5]?[0-9]"),
    "ss": ("", "[0-5][0-9]"),
    "s": ("", "[0-5]?[0-9]"),
    "a": ("", "AM|PM"),
    **{"S" * digits: ("", f"[0-9]{{1,{digits}}}") for digits in range(1, 10)},
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
_RUNS = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")  # a quoted text, a run of one letter, anything else
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
    pattern = _from_strptime(text) if "%" in text and "yy" not in _DIRECTIVE.sub("", text) else text
    pattern = re.sub("(?<!y)y(?!y)", "yyyy", pattern)  # to Spark, y is a year of any number of digits: 24 is long ago
    meant = _likely_meant(pattern)
    hint = f"; did you mean {meant}?" if meant != pattern and not _problem(meant) else ""
    if problem := _problem(pattern):
        raise ValueError(f"expected {_EXPECTED}, found {text} ({problem}){hint}")
    return pattern


def pattern_runs(pattern: str) -> Iterator[tuple[str, str]]:
    """Split a pattern into its fields and what stands between them.

    Yields
    ------
    tuple of (str, str)
        A run of one pattern letter and an empty text, or an empty text and what stands for itself.

    Examples
    --------
    >>> list(pattern_runs("d 'de' yyyy"))
    [('d', ''), ('', ' '), ('', 'de'), ('', ' '), ('yyyy', '')]
    """
    for match in _RUNS.finditer(pattern):
        quoted, letter = match.group(1), match.group(2)
        if letter:
            yield match.group(0), ""
        else:
            yield "", match.group(0) if quoted is None else quoted.replace("''", "'") or "'"


def date_regex(pattern: str, *, named: bool = False) -> str:
    """Return the regular expression of the texts that a pattern reads.

    Parameters
    ----------
    pattern : str
        What `spark_date_format` returned.
    named : bool, default False
        Whether the groups ``year`` or ``short`` (two digits), ``month`` or ``name``, and ``day`` are named, as Python
        writes it; Java writes it otherwise.

    Returns
    -------
    str
        The expression of a whole text.
    """
    pieces = []
    for run, literal in pattern_runs(pattern):
        if run:
            name, text = _FIELDS[run]
            pieces.append(f"(?P<{name}>{text})" if named and name else f"(?:{text})")
        else:
            pieces.append(re.escape(literal))
    return "".join(pieces)


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
    """Say why dates cannot be read by a pattern; an empty text where they can."""
    plain = re.sub("'(?:[^']|'')*'", "", pattern)
    reserved = re.search(r"['\[\]{}#]", plain)
    if reserved:
        return f"{reserved.group(0)} has a meaning of its own there; put texts in single quotes"
    runs = [run for run, _ in pattern_runs(pattern) if run]
    unknown = [run for run in runs if run not in _FIELDS]
    if unknown:
        return f"{unknown[0]} is none of them"
    letters = {run[0] for run in runs}
    if "y" not in letters:
        return "it has no year, y"
    if "d" in letters and "M" not in letters:
        return "it has no month, M"
    twice = [letter for letter in letters if sum(run[0] == letter for run in runs) > 1]
    return f"{twice[0]} is there twice" if twice else ""


def _likely_meant(pattern: str) -> str:
    """Return the pattern with the letters that other programs use for years, months and days replaced."""
    has_month, has_hour = "M" in pattern, re.search("[Hh]", pattern) is not None

    def meant(run: re.Match[str]) -> str:
        letter = run.group(2)
        if letter == "Y" or (letter == "D" and has_month):
            return run.group(0).lower()
        return run.group(0).upper() if letter == "m" and not (has_month or has_hour) else run.group(0)

    return _RUNS.sub(meant, pattern)
