"""Try the faults of `docs/reliability.md`, so many times each: ``python -m tests.faults [--only NAME] [--share 0.1]``.

Prints one line a fault as soon as it is tried, and ends with 1 if a promise was broken. `make faults` runs it all,
which takes about an hour on two cores; ``--share`` tries that share of the times.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.files import damaged_models, full_disk, swaps_under_load
from tests.faults.requests import hostile_requests
from tests.faults.sources import damaged_tables, database_kills

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.processes import Shop

#: Without Spark: how often each is tried, and how.
QUICK: dict[str, tuple[int, Callable[[int, Path], list[str] | None]]] = {
    "models replaced under readers": (1_000, swaps_under_load),
    "damaged models": (3_000, damaged_models),
    "full disk": (40, full_disk),
    "hostile requests": (10_000, hostile_requests),
}
#: With a session of Spark.
ON_SPARK: dict[str, tuple[int, Callable[[int, Path], list[str] | None]]] = {
    "damaged tables": (100, damaged_tables),
    "kills of a database": (20, database_kills),
}
#: With commands in processes of their own.
SLOW = {
    "kills of train": 30,
    "kills of predict": 30,
    "kills of parts of predict": 12,
    "interrupts": 50,
    "models replaced under predict": 20,
}


def slow_faults(shop: Callable[[], Shop]) -> dict[str, Callable[[int], list[str]]]:
    """Return the faults that need a trained shop, by name."""
    from tests.faults import processes

    calls = (
        processes.kills_of_train,
        processes.kills_of_predict,
        processes.kills_of_parts,
        processes.interrupts,
        processes.swaps_during_predict,
    )
    return {name: partial(_with_shop, call, shop) for name, call in zip(SLOW, calls, strict=True)}


def _with_shop(call: Callable[..., list[str]], shop: Callable[[], Shop], count: int) -> list[str]:
    return call(count, shop(), random.Random(count))


def main() -> int:
    """Try all faults, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*QUICK, *ON_SPARK, *SLOW], help="one of them")
    parser.add_argument("--share", type=float, default=1.0, help="share of the times that each is tried")
    parser.add_argument("--seconds", type=float, default=7_200.0, help="begin none after so many seconds")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries log is no part of the report
    folder = Path(tempfile.mkdtemp(prefix="purchasecast-faults-"))
    shops: list[Shop] = []

    def shop() -> Shop:
        from tests.faults.processes import Shop

        if not shops:
            shops.append(Shop(folder / "shop"))
        return shops[0]

    in_folders = QUICK | ON_SPARK
    tries: dict[str, tuple[int, Callable[[int], list[str] | None]]] = {
        **{name: (count, partial(_in_folder, call, folder / name)) for name, (count, call) in in_folders.items()},
        **{name: (SLOW[name], call) for name, call in slow_faults(shop).items()},
    }
    started, broken = time.monotonic(), False
    try:
        for name, (count, call) in tries.items():
            if options.only not in {None, name}:
                continue
            if time.monotonic() - started > options.seconds:
                print(f"{name}: not tried, the time is over", flush=True)
                continue
            times = max(math.ceil(count * options.share), 1)
            began = time.monotonic()
            failures = call(times)
            told = "skipped" if failures is None else f"{times:,} times, {len(failures):,} failures"
            print(f"{name}: {told}, {time.monotonic() - began:.0f} s", flush=True)
            for failure in (failures or [])[:20]:
                print(f"    {failure}", flush=True)
            broken |= bool(failures)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(broken)


def _in_folder(call: Callable[[int, Path], list[str] | None], folder: Path, count: int) -> list[str] | None:
    folder.mkdir()
    return call(count, folder)


if __name__ == "__main__":
    sys.exit(main())
