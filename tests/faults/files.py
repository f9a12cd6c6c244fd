"""Faults of files: models that are replaced while they are read, damaged models, a full disk."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.tiny_model import TinyShop

from purchasecast.bundle import load_bundle
from purchasecast.errors import BundleError, PurchasecastError
from purchasecast.files import write_whole
from purchasecast.scorer import load

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["damaged_models", "full_disk", "swaps_under_load"]

#: Names of exceptions have no place in what users read.
EXCEPTION_NAMES = re.compile(r"\b\w+(?:Error|Exception)\b(?<!\bRMSE)|Traceback|Py4J|java\.")


def swaps_under_load(count: int, folder: Path) -> list[str]:
    """Replace a model so many times while three readers load it; return what went wrong."""
    shops = [TinyShop(seed=1), TinyShop(seed=2)]
    row = shops[0].random_rows(1)[0]
    expected = {round(shop.predict(row), 6) for shop in shops}
    place = shops[0].save(folder / "model")
    failures: list[str] = []
    loads = 0
    over = threading.Event()

    def read() -> None:
        nonlocal loads
        while not over.is_set():
            try:
                found = round(load(place).predict_one(row).prediction, 6)
                failures.extend([] if found in expected else [f"a prediction of neither model: {found}"])
                loads += 1
            except PurchasecastError as error:
                failures.append(str(error))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(count):
        shops[number % 2].save(place)
    over.set()
    for reader in readers:
        reader.join()
    left = [path.name for path in folder.iterdir() if path.name != "model"]
    return [*failures, *[f"left behind: {name}" for name in left], *([] if loads else ["nothing was loaded"])]


def damaged_models(count: int, folder: Path, seed: int = 1) -> list[str]:
    """Damage a model in so many ways; return those in which it predicted something else or failed in another way."""
    shop, draw = TinyShop(seed=1), random.Random(seed)
    row = shop.random_rows(1)[0]
    whole = shop.save(folder / "whole")
    names = sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file())
    failures = []
    for number in range(count):
        place = folder / "damaged"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        name, kind = (
            draw.choice(names),
            draw.choice(["flip", "cut", "empty", "gone", "link", "add", "swap", "brackets"]),
        )
        _damage(place / name, kind, draw)
        try:
            found = load(place).predict_one(row).prediction
        except BundleError as error:
            if EXCEPTION_NAMES.search(str(error)) or "\n" in str(error):
                failures.append(f"{number}: {kind} of {name}: {error}")
        except Exception as error:  # noqa: BLE001  what users must not see
            failures.append(f"{number}: {kind} of {name}: {type(error).__name__}: {error}")
        else:
            if found != shop_prediction(whole, row) or kind not in {"flip", "cut", "swap"}:
                failures.append(f"{number}: {kind} of {name} was not noticed")
    return failures


def shop_prediction(place: Path, row: dict[str, object]) -> float:
    """Return what the whole model predicts."""
    return load(place).predict_one(row).prediction


def _damage(file: Path, kind: str, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    at = draw.randrange(len(content))
    if kind == "flip":
        content[at] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del content[at:]
    elif kind == "swap":
        content[at : at + 8] = reversed(content[at : at + 8])
    elif kind == "empty":
        content.clear()
    elif kind == "brackets":
        content[:] = b"[" * 100_000
    file.unlink()
    if kind == "link":
        file.symlink_to(file.with_name("nothing"))
    elif kind != "gone":
        file.write_bytes(content)
    if kind == "add":
        file.with_name("more").write_bytes(b"1")


@contextmanager
def small_disk(size: str) -> Iterator[Path | None]:
    """Mount a small disk in memory; None where that is not allowed."""
    folder = Path(tempfile.mkdtemp(prefix="purchasecast-disk-"))
    mounted = (
        os.getuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
        ).returncode
    )
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", folder], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def full_disk(count: int, folder: Path) -> list[str] | None:
    """Replace a model and a page on a full disk; return what was lost, or None where no disk can be mounted."""
    del folder  # the disk is a place of its own
    shop = TinyShop(seed=1)
    failures = []
    with small_disk("2m") as disk:
        if disk is None:
            return None
        place, page = shop.save(disk / "model"), disk / "report.html"
        write_whole(page, "good " * 1_000)
        for number in range(count):
            free = shutil.disk_usage(disk).free
            filler = disk / "filler"
            filler.write_bytes(b"x" * max(free - 4_096 * (number % 20), 0))
            for write in (lambda: shop.save(place), lambda: write_whole(page, "new " * 100_000)):
                with suppress(BundleError, OSError):
                    write()
            filler.unlink()
            if load_bundle(place).identity == "" or page.read_text()[:5] not in {"good ", "new n"}:
                failures.append(f"{number}: a model or a page is damaged")
            failures += [f"left behind: {path.name}" for path in disk.iterdir() if path.name.startswith(".")]
    return failures
