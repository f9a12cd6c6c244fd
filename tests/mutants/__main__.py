"""Change lines of the statistical and scoring modules and see whether a test fails: ``python -m tests.mutants``.

Of each module the same few changes are tried, each in a process that runs the tests without Spark that guard the
module. What was tried stays in ``build/mutants.jsonl`` until the module or its tests change, so that a run that was
stopped goes on. Ends with 1 if more than a tenth of the changes survive, or one that `survivors.toml` does not explain.
Tools such as mutmut try all changes, which takes hours here, and nearly all of it to import the same libraries again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import time
import tomllib
from pathlib import Path

from tests.mutants.mutate import Mutant, import_mutated, mutants_of

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
RESULTS = ROOT / "build" / "mutants.jsonl"
SURVIVORS = Path(__file__).with_name("survivors.toml")
MAX_SURVIVING = 0.10
EACH = 6  # changes of a module
SECONDS = 120  # for the tests of one change; one that never ends has been noticed
NOTICED, UNNOTICED = "noticed", "survived"

#: Modules, and the tests that guard each.
GUARDS = {
    "insights.significance": ["insights/test_significance.py"],
    "numerics.conformal": ["numerics/test_conformal.py"],
    "numerics.elastic_net": ["numerics/test_penalized.py"],
    "numerics.gram": ["numerics/test_gram.py"],
    "numerics.nonnegative": ["numerics/test_nonnegative.py"],
    "numerics.normal_equations": ["numerics/test_penalized.py", "numerics/test_gram.py"],
    "numerics.penalized": ["numerics/test_penalized.py"],
    "numerics.soft_minimum": ["numerics/test_soft_minimum.py", "scorer/test_retransform_step.py"],
    "results.drift": ["results/test_drift.py"],
    "scorer.batch": ["scorer/test_scorer.py", "scorer/test_steps.py"],
    "scorer.contributions": ["scorer/test_contributions.py"],
    "scorer.dates": ["scorer/test_dates.py"],
    "scorer.model": ["scorer/test_scorer.py"],
    "stages.boosted_trees.solver": ["stages/test_boosting_solver.py"],
    "stages.latent_factors.solver": ["stages/test_latent_factor_solver.py", "stages/test_latent_factor_passes.py"],
    "stages.level_statistics.solver": ["stages/test_level_statistics_solver.py"],
    "stages.price_ladder.solver": ["stages/test_price_ladder_solver.py"],
    "stages.purchase_patterns.solver": ["stages/test_purchase_pattern_solver.py"],
    "training.out_of_fold": ["training/test_out_of_fold.py"],
}


def main() -> int:
    """Try the changes of all modules, or of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=list(GUARDS), help="one of the modules")
    parser.add_argument("--each", type=int, default=EACH, help=f"changes of a module, {EACH} if not given")
    options = parser.parse_args()
    load_libraries()
    explained = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivors"]
    tried: dict[str, str] = {}
    for module in [options.only] if options.only else GUARDS:
        tried |= try_module(module, options.each)
    survivors = [name for name, outcome in tried.items() if outcome == UNNOTICED]
    unexplained = [name for name in survivors if name not in explained]
    print(f"{len(tried)} changes, {len(survivors)} survived ({len(survivors) / len(tried):.0%})", flush=True)
    for name in unexplained:
        print(f"    not explained: {name}", flush=True)
    return int(bool(unexplained) or len(survivors) > MAX_SURVIVING * len(tried))


def try_module(module: str, each: int) -> dict[str, str]:
    """Try some changes of a module; return the outcome of each, by its name."""
    file = SOURCE / "purchasecast" / f"{module.replace('.', '/')}.py"
    tests = [ROOT / "tests" / name for name in GUARDS[module]]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in [file, *tests])).hexdigest()[:16]
    known = read_results(state)
    began = time.monotonic()
    if not known and run_tests(None, file, tests) != 0:
        raise SystemExit(f"{module}: its tests fail as it is")
    outcomes: dict[str, str] = {}
    for mutant in chosen(f"purchasecast.{module}", file, each):
        outcome = known.get(mutant.name)
        if outcome is None:
            outcome = UNNOTICED if run_tests(mutant, file, tests) == 0 else NOTICED
            write_result(state, mutant.name, outcome)
        outcomes[mutant.name] = outcome
        if outcome == UNNOTICED:
            print(f"    line {mutant.line}: {mutant.name}", flush=True)
    count = list(outcomes.values()).count(UNNOTICED)
    print(f"{module}: {len(outcomes)} changes, {count} survived, {time.monotonic() - began:.0f} s", flush=True)
    return outcomes


def chosen(module: str, file: Path, each: int) -> list[Mutant]:
    """Return the changes of a module that are tried: the same ones whenever the module is the same."""
    everything = mutants_of(module, file)
    picked = random.Random(module).sample(everything, min(each, len(everything)))
    return sorted(picked, key=lambda mutant: mutant.line)


def load_libraries() -> None:
    """Import what tests need and no change touches, once for all processes; not what pytest itself loads."""
    import numpy  # noqa: F401, ICN001
    import pandas  # noqa: F401, ICN001
    import pyarrow.parquet  # noqa: F401
    import pytest  # noqa: F401
    import scipy.optimize
    import scipy.sparse
    import scipy.stats  # noqa: F401


def run_tests(mutant: Mutant | None, file: Path, tests: list[Path]) -> int:
    """Run tests in a process of their own; return its exit code."""
    assert not any(name.partition(".")[0] == "purchasecast" for name in sys.modules)
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        os._exit(_run_here(mutant, file, tests))
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 5:
        raise SystemExit(f"{file.name}: none of its tests runs without Spark")
    return code


def _run_here(mutant: Mutant | None, file: Path, tests: list[Path]) -> int:
    import pytest

    os.setpgid(0, 0)
    signal.alarm(SECONDS)
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    if mutant is not None:
        import_mutated(mutant, file)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # importing them takes longer than most tests
    plugins = ["-p", "pytest_timeout", "-p", "no:cacheprovider"]
    options = ["-x", "-q", *plugins, "-m", "not spark and not slow and not site"]
    return int(pytest.main([*options, *map(str, tests)]))


def read_results(state: str) -> dict[str, str]:
    """Return the outcomes of changes that were tried with a module and tests as they are."""
    if not RESULTS.is_file():
        return {}
    lines = map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())
    return {line["name"]: line["outcome"] for line in lines if line["state"] == state}


def write_result(state: str, name: str, outcome: str) -> None:
    """Keep an outcome."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"state": state, "name": name, "outcome": outcome}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
