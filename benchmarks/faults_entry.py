"""An entry point in a process of its own that has no libraries to import any more: it is forked from one that has.

A process that is killed at a random moment is then nearly always killed at work, and not while it imports.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import batch_inference
import data_evaluation
import data_preprocessing
import hyperparameters_tuning
import main
import model_registry
import model_training
import reproduction
import sweep

ENTRY_POINTS = (
    *(main, sweep, reproduction, data_preprocessing, hyperparameters_tuning, model_training, data_evaluation),
    *(batch_inference, model_registry),
)


def run(module: str, argv: Sequence[str], folder: str, said: str) -> None:
    """Run an entry point in a folder.

    Args:
        module: of the entry point.
        argv: its command line.
        folder: to stand in.
        said: the file for what it writes on both streams.
    """
    os.chdir(folder)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.exit(importlib.import_module(module).main(list(argv)))
