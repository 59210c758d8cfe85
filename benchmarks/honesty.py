"""Whether the figures that Treeline prints are what they say, by simulation against a known truth.

Each part is a module `honesty_<part>.py` with a function `claims(quick)`; this runs them in turn and prints a table:
what is claimed, the figure found, the goal, the repeats and the seed. It is no timed test. Run: make bench-honesty
"""

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

from honesty_claims import Claim

PARTS = sorted(path.stem.removeprefix("honesty_") for path in Path(__file__).parent.glob("honesty_*.py"))
PARTS.remove("claims")


def line(part: str, claim: Claim) -> str:
    """Give a row of the table."""
    verdict = "met" if claim.holds else "MISSED"
    return f"| {part} | {claim.what} | {claim.goal} | {claim.figure} | {claim.repeats} | {claim.seed} | {verdict} |"


def main() -> int:
    """Print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, help="which to run; all by default")
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats, for a look")
    given = parser.parse_args()
    print("| part | claim | goal | found | repeats | seed | |\n|---|---|---|---|---|---|---|", flush=True)
    missed = 0
    for part in given.parts:
        start = time.perf_counter()
        for claim in import_module(f"honesty_{part}").claims(given.quick):
            print(line(part, claim), flush=True)
            missed += not claim.holds
        print(f"{part}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
