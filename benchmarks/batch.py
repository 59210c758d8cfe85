"""Peak memory and rows a second of batch-inference on a large Parquet file, 30 columns of fractions.

Run: make bench-batch
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from common import table

PROJECT = Path(__file__).resolve().parents[1]
PART = 500_000  # rows that are made at a time


def write_rows(path: Path, rows: int, row_group: int) -> None:
    """Write rows of the breast-cancer table, drawn with replacement and shaken by 1 %."""
    columns, rng = table(0)[0], np.random.default_rng(0)
    kept: list[pa.Table] = []
    with pq.ParquetWriter(path, pa.Table.from_pandas(columns, preserve_index=False).schema) as writer:
        for start in range(0, rows, PART):
            n = min(PART, rows - start)
            drawn = columns.iloc[rng.integers(0, len(columns), n)] * rng.normal(1, 0.01, (n, columns.shape[1]))
            kept.append(pa.Table.from_pandas(drawn, preserve_index=False))
            if len(kept) * PART >= row_group or start + PART >= rows:
                writer.write_table(pa.concat_tables(kept), row_group_size=row_group)
                kept.clear()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--row-groups", type=int, nargs="+", default=[1_000_000, 5_000_000], help="rows of a row group")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        quick = [sys.executable, str(PROJECT / "main.py"), "--n-trials", "2", "--folds", "2"]
        subprocess.run(quick, cwd=folder, env=store, check=True, capture_output=True)
        for row_group in options.row_groups:
            write_rows(Path(folder) / "new.parquet", options.rows, row_group)
            command = [sys.executable, str(PROJECT / "batch_inference.py")]
            start, peak = time.perf_counter(), 0
            process = psutil.Popen(
                [*command, "--input", "new.parquet", "--output", "scores.parquet"], cwd=folder, env=store
            )
            while process.poll() is None:
                peak = max(peak, process.memory_info().rss)
                time.sleep(0.05)
            seconds = time.perf_counter() - start
            print(
                f"  {options.rows:,} rows in row groups of {row_group:,}: peak {peak / 2**20:,.0f} MiB, "
                f"{seconds:.0f} s, {options.rows / seconds:,.0f} rows a second",
                flush=True,
            )


if __name__ == "__main__":
    main()
