"""Faults of processes: kills and interrupts of commands at random moments, models replaced under them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.csv as pa_csv
from tests.faults.files import EXCEPTION_NAMES

from purchasecast.bundle import copy_bundle, load_bundle
from purchasecast.errors import BundleError
from purchasecast.scorer import load

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Stop = Callable[[subprocess.Popen[str]], None]

__all__ = ["Shop", "interrupts", "kills_of_parts", "kills_of_predict", "kills_of_train", "swaps_during_predict"]

ROWS = 2_000
_PATIENCE = 30.0  # seconds for the processes of a command to end after it


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float
    orphans: list[str]


def command(*arguments: object, stop: Stop | None = None) -> Ended:
    """Run a command line; `stop` gets its process while it runs."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "purchasecast", *map(str, arguments), "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if stop is not None:
        stop(process)
    out, err = process.communicate(timeout=600)
    seconds = time.monotonic() - started
    return Ended(process.returncode, out, err, seconds, _orphans(process.pid))


def _orphans(session: int) -> list[str]:
    """Return what still runs of a session, after some patience; and end it."""
    give_up = time.monotonic() + _PATIENCE
    while (alive := _session(session)) and time.monotonic() < give_up:
        time.sleep(0.2)
    for process in alive:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    return list(alive.values())


def _session(session: int) -> dict[int, str]:
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = file.read_text(errors="replace").rpartition(")")
            state, _, _, its_session = rest.split()[:4]
            if its_session == str(session) and state != "Z":
                found[int(file.parent.name)] = name
    return found


def after(seconds: float, number: signal.Signals, *, group: bool = False) -> Stop:
    """Return what sends a signal after so many seconds, to a process or to all of its group."""

    def stop(process: subprocess.Popen[str]) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
            return
        with suppress(OSError):
            (os.killpg if group else os.kill)(process.pid, number)

    return stop


def while_writing(room: Path, seconds: float, *, group: bool) -> Stop:
    """Return what kills a process so many seconds after it began to write something beside its place in a folder."""

    def stop(process: subprocess.Popen[str]) -> None:
        before = set(room.iterdir())
        while process.poll() is None and not set(room.iterdir()) - before:
            time.sleep(0.01)
        after(seconds, signal.SIGKILL, group=group)(process)

    return stop


def _kill(draw: random.Random, room: Path, seconds: float, *, while_it_writes: bool) -> tuple[float, Stop]:
    """Return a moment of a run that takes so many seconds, and what kills it then."""
    group = draw.random() < 0.5
    if while_it_writes:  # few random moments are among those
        moment = draw.uniform(0.0, 0.2) * seconds
        return moment, while_writing(room, moment, group=group)
    moment = draw.uniform(0.0, 1.05) * seconds
    return moment, after(moment, signal.SIGKILL, group=group)


class Shop:
    """A generated shop with a model, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data" / "shop.csv"
        self.data.parent.mkdir(parents=True)
        self.data_options = ("--schema", folder / "data" / "shop.schema.toml")
        done = command("generate", "--rows", ROWS, "--out", self.data)
        assert done.code == 0, done.err
        schemas = sorted(self.data.parent.glob("*.toml"))
        self.schema = ("--schema", schemas[0]) if schemas else ()
        self.models = [self._train(seed) for seed in (1, 2)]

    def _train(self, seed: int) -> Path:
        place = self.folder / f"trained-{seed}"
        done = self.train(place, seed)
        assert done.code == 0, done.err
        self.seconds_of_train = done.seconds
        return place

    def train(self, place: Path, seed: int, **how: Stop) -> Ended:
        """Train a model there."""
        options = ("--folds", 2, "--no-refit", "--no-offers", "--target-transform", "none", "--seed", seed)
        return command("train", self.data, "--out", place, *self.schema, *options, **how)

    def room(self, name: str, model: int = 0) -> Path:
        """Return an empty folder with a copy of a model."""
        room = self.folder / name
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir()
        copy_bundle(self.models[model], room / "model")
        return room


def kills_of_train(count: int, shop: Shop, draw: random.Random) -> list[str]:
    """Kill `train` where a model stands, at random moments; return what is not a whole model."""
    room = shop.room("kills-of-train")
    failures = []
    known = {load_bundle(model).identity for model in shop.models}
    for number in range(count):
        moment, stop = _kill(draw, room, shop.seconds_of_train, while_it_writes=number % 2 == 1)
        done = shop.train(room / "model", 1 + draw.randrange(2), stop=stop)
        failures += [f"{number}: after {moment:.1f} s: {name} runs on" for name in done.orphans]
        try:
            if load_bundle(room / "model").identity not in known:
                failures.append(f"{number}: after {moment:.1f} s: another model")
        except BundleError as error:
            failures.append(f"{number}: after {moment:.1f} s: {error}")
    done = shop.train(room / "model", 1)
    left = [path.name for path in room.iterdir() if path.name != "model"]
    return [
        *failures,
        *([] if done.code == 0 else [f"run again: {done.err}"]),
        *[f"left behind: {name}" for name in left],
    ]


def kills_of_predict(count: int, shop: Shop, draw: random.Random) -> list[str]:
    """Kill `predict` where predictions stand, at random moments; return what are not all of them."""
    room = shop.room("kills-of-predict")
    out = room / "out.csv"
    call = ("predict", room / "model", shop.data, "--out", out, "--overwrite")
    whole = command(*call)
    failures = [] if whole.code == 0 else [f"whole run: {whole.err}"]
    lines = out.read_bytes().count(b"\n")
    for number in range(count):
        out.write_bytes(b"old\n")
        moment, stop = _kill(draw, room, whole.seconds, while_it_writes=number % 2 == 1)
        done = command(*call, stop=stop)
        failures += [f"{number}: after {moment:.1f} s: {name} runs on" for name in done.orphans]
        content = out.read_bytes()
        found = content.count(b"\n")
        if content != b"old\n" and found != lines:
            failures.append(f"{number}: after {moment:.1f} s: {found} lines of {lines}")
    done = command(*call)
    left = [path.name for path in room.iterdir() if path.name not in {"model", "out.csv"}]
    return [
        *failures,
        *([] if done.code == 0 else [f"run again: {done.err}"]),
        *[f"left behind: {name}" for name in left],
    ]


def kills_of_parts(count: int, shop: Shop, draw: random.Random) -> list[str]:
    """Kill the JVM or a worker of `predict` at random moments; return broken outputs and wrong messages."""
    room = shop.room("kills-of-parts")
    out = room / "out.csv"
    call = ("predict", room / "model", shop.data, "--out", out, "--overwrite")
    whole = command(*call)
    lines = out.read_bytes().count(b"\n")
    failures = [] if whole.code == 0 else [f"whole run: {whole.err}"]
    for number in range(count):
        out.write_bytes(b"old\n")
        killed: list[str] = []

        def stop(process: subprocess.Popen[str], killed: list[str] = killed, moment: float = draw.random()) -> None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=moment * whole.seconds)
            others = {pid: name for pid, name in _session(process.pid).items() if pid != process.pid}
            if others:
                pid = draw.choice(sorted(others))
                killed.append(others[pid])
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

        done = command(*call, stop=stop)
        told = f"{number}: {killed} killed"
        failures += [f"{told}: {name} runs on" for name in done.orphans]
        content = out.read_bytes()
        if (content.count(b"\n") if done.code == 0 else content) not in {lines, b"old\n"}:
            failures.append(f"{told}: code {done.code}, {len(content):,} bytes")
        if EXCEPTION_NAMES.search(done.err) or done.err.strip().count("\n") > 0:
            failures.append(f"{told}: said {done.err[-500:]!r}")
    return failures


def interrupts(count: int, shop: Shop, draw: random.Random) -> list[str]:
    """Interrupt `train`, `predict` and `insights` at random moments; return what they left, and what else they said."""
    failures = []
    for number in range(count):
        room = shop.room("interrupts")
        calls = {
            "train": ("train", shop.data, "--out", room / "new", *shop.schema, "--folds", 2, "--no-refit"),
            "predict": ("predict", room / "model", shop.data, "--out", room / "out.csv"),
            "insights": ("insights", room / "model", shop.data, "--out", room / "found"),
        }
        name = list(calls)[number % 3]
        moment = draw.uniform(0.3, 1.0) * shop.seconds_of_train
        done = command(*calls[name], stop=after(moment, signal.SIGINT, group=draw.random() < 0.5))
        told = f"{number}: {name} after {moment:.1f} s"
        failures += [f"{told}: {orphan} runs on" for orphan in done.orphans]
        if done.code == 0:
            continue  # it had finished
        if done.code not in {130, -signal.SIGINT} or done.err.strip() not in {"purchasecast: stopped", ""}:
            failures.append(f"{told}: code {done.code}, said {done.err[-300:]!r}")
        left = [path.name for path in room.iterdir() if path.name != "model"]
        failures += [f"{told}: left {file}" for file in left]
    return failures


def swaps_during_predict(count: int, shop: Shop, draw: random.Random) -> list[str]:
    """Replace the model while `predict` runs; return the outputs that are not all of one model."""
    room = shop.room("swaps")
    failures = []
    scored = []
    for model in shop.models:
        scorer = load(model)
        table = pa_csv.read_csv(shop.data)
        scored.append(scorer.predict(table.select(list(scorer.columns))).prediction)
    for number in range(count):
        model = number % 2

        def swap(process: subprocess.Popen[str], model: int = model) -> None:
            time.sleep(draw.uniform(0.0, 0.5) * shop.seconds_of_train)
            while process.poll() is None:
                model = 1 - model
                copy_bundle(shop.models[model], room / "model")
                time.sleep(draw.uniform(0.05, 0.5))

        copy_bundle(shop.models[model], room / "model")
        done = command("predict", room / "model", shop.data, "--out", room / "out.csv", "--overwrite", stop=swap)
        if done.code != 0:
            if "replaced" not in done.err:
                failures.append(f"{number}: {done.err}")
            continue
        found = pa_csv.read_csv(room / "out.csv")["prediction"].to_numpy()
        if not any(np.allclose(found, expected, rtol=1e-9) for expected in scored):
            failures.append(f"{number}: predictions of two models")
    return failures
