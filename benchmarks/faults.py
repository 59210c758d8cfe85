"""What Treeline loses when it is killed, stopped, short of disk, started several times at once, or fed rubbish.

Each part is a module `faults_<part>.py` with a function `outcomes(full, seed)`; this runs them in turn and prints a
table: what was tried, how often, how often it held, and what broke. It takes a few minutes, or with --full some hours.
Run: make bench-faults
"""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from faults_outcome import Outcome

# The inputs and requests that tests draw, and what they are drawn against.
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in (".", "tests")]

PARTS = ["kills", "stops", "starts", "disks", "inputs", "requests", "clients"]


def line(outcome: Outcome) -> str:
    """Give a row of the table."""
    return f"| {outcome.what} | {outcome.tried:,} | {outcome.tried - len(outcome.broken):,} | {len(outcome.broken):,} |"


def main() -> int:
    """Print the table and what broke; 1 where anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="which to run; all by default")
    parser.add_argument("--full", action="store_true", help="as often as benchmarks/README.md says")
    parser.add_argument("--seed", type=int, default=0, help="of the moments, the sizes and the inputs")
    given = parser.parse_args()
    print("| fault | tried | held | broken |\n|---|---|---|---|", flush=True)
    broken: list[str] = []
    for part in given.parts:
        start = time.perf_counter()
        for outcome in import_module(f"faults_{part}").outcomes(given.full, given.seed):
            print(line(outcome), flush=True)
            broken += [f"{outcome.what}: {each}" for each in outcome.broken]
        print(f"{part}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    for each in broken:
        print(f"  broken: {each}")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
