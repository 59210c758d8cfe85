"""What a study costs: ours with full tracking, ours without, and the bare loop, over the very same trials.

Run: make bench-overhead, or make bench-load for the same with another process busy on every core.
"""

import argparse
import multiprocessing

from common import bare_loop, drawn, fresh_store, interleave, our_loop, quiet, ratio, table

from treeline.cpus import cpu_budget


def spin() -> None:
    """Keep one core busy."""
    while True:
        pass


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 50_000], help="0 is breast cancer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--busy", action="store_true", help="keep every core busy with another process")
    options = parser.parse_args()
    quiet()
    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(cpu_budget() if options.busy else 0)]
    for rows in options.rows:
        made = table(rows)
        points = drawn(options.trials)
        fresh_store()
        contestants = {
            "bare loop": lambda made=made, points=points: bare_loop(made, points),
            "ours, tracked": lambda made=made, points=points: our_loop(made, points, tracked=True),
            "ours, not tracked": lambda made=made, points=points: our_loop(made, points, tracked=False),
        }
        print(
            f"{made[0].shape[0]} x {made[0].shape[1]}, {options.trials} trials{', busy machine' if others else ''}",
            flush=True,
        )
        for other in others:
            other.start()
        seconds = interleave(contestants, options.repeats)
        print(f"  tracked / bare loop:   {ratio(seconds['ours, tracked'], seconds['bare loop'])}")
        print(f"  tracked / not tracked: {ratio(seconds['ours, tracked'], seconds['ours, not tracked'])}")
    for other in others:
        other.terminate()


if __name__ == "__main__":
    main()
