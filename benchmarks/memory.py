"""Peak memory of a study on a table of float32: ours with full tracking, and the bare loop over the same trials.

Each contestant is a process of its own that reads the same file; what the process held before its study began (the
libraries and the frame) is given apart.

Run: make bench-memory
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from common import bare_loop, drawn, fresh_store, our_loop, quiet, ratio, table


def peak() -> float:
    """Give this process's peak memory so far in MiB (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def contest(contestant: str, path: str, trials: int, rounds: int) -> None:
    """Run one contestant in this process and print its peak before and after."""
    quiet()
    frame = pd.read_parquet(path)
    X, y = frame.drop(columns="y"), frame["y"].to_numpy()
    del frame
    fresh_store()
    before = peak()
    if contestant == "ours":
        value = our_loop((X, y), drawn(trials), tracked=True, rounds=rounds)
    else:
        value = bare_loop((X, y), drawn(trials), rounds)
    print(before, peak(), value)


def main() -> None:
    """Measure and print the peaks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contestant", choices=["ours", "bare loop"], help="run one in this process")
    parser.add_argument("--path", default="")
    options = parser.parse_args()
    if options.contestant:
        contest(options.contestant, options.path, options.trials, options.rounds)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        X, y = table(options.rows)
        X.assign(y=y).to_parquet(path)
        cells = X.to_numpy().nbytes / 2**20
        del X, y
        print(f"{options.rows} rows, {cells:.0f} MiB of float32, {options.trials} trials of {options.rounds} rounds")
        peaks: dict[str, list[float]] = {"ours": [], "bare loop": []}
        for _ in range(options.repeats):
            for name, found in peaks.items():
                command = [sys.executable, __file__, "--contestant", name, "--path", str(path)]
                command += ["--trials", str(options.trials), "--rounds", str(options.rounds)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                before, after, value = done.stdout.split()
                found.append(float(after))
                print(f"  {name: <10} {float(after):7.0f} MiB at its peak, {float(before):.0f} before; best {value}")
    print(f"  ours / bare loop: {ratio(peaks['ours'], peaks['bare loop'])}")


if __name__ == "__main__":
    main()
