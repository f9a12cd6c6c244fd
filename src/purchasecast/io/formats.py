"""Which format a file's name tells, and how CSV files are quoted."""

from __future__ import annotations

__all__ = ["COMPRESSIONS", "CSV_DIALECT", "FORMAT_OF_SUFFIX", "suffix_of"]

# Hadoop opens files with these suffixes by itself, so that the format is told by the suffix before them.
COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate", ".xz")
FORMAT_OF_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".orc": "orc",
    ".json": "json",
    ".jsonl": "json",
    ".avro": "avro",
}
# RFC 4180 writes a quote within quotes twice; Spark's default is a backslash.
CSV_DIALECT = {"quote": '"', "escape": '"'}


def suffix_of(file: str) -> str:
    """Return the suffix in lower case, without that of a compression, as ``".csv"``; empty where there is none.

    Parameters
    ----------
    file : str
        Name or path of a file or folder.

    Returns
    -------
    str
        The suffix with its dot.
    """
    name = file.rstrip("/").rsplit("/", 1)[-1].lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    return f".{name.rsplit('.', 1)[1]}" if "." in name else ""
