"""Several at once: four chains on a folder without a store, two batches to one output, two evaluations of one model."""

from collections.abc import Iterator

import pandas as pd
from faults_chain import SMALL, TABLE, Command, Place
from faults_outcome import Outcome
from faults_places import places
from faults_store import NAME, broken_store, history_of

ROUNDS = {True: 20, False: 1}
CHAINS = 4


def first_start(place: Place) -> list[str]:
    """Start four chains on a fresh folder; say what is wrong with any, and with the store after them."""
    place.put_back("fresh")
    folders = [place.folder] * CHAINS
    commands = [
        Command(folder, "main", (*TABLE, *SMALL, "--seed", str(i)), said=str(i)) for i, folder in enumerate(folders)
    ]
    ended = [command.wait() for command in commands]
    found = [f"chain {i}: {each}" for i, one in enumerate(ended) for each in one.complaints(0)]
    return found + broken_store(place.folder / "mlflow.db")


def two_batches(place: Place) -> list[str]:
    """Score two files to one output at once; the output is whole and of one of them."""
    place.put_back("champions")
    rows = pd.read_csv(place.folder / "rows.csv")
    rows.head(300).to_csv(place.folder / "rows.csv", index=False)
    rows.assign(x0=0.5).to_csv(place.folder / "table.csv", index=False)
    commands = [
        Command(place.folder, "batch_inference", ("--input", name, "--output", "out.csv"), said=name)
        for name in ("rows.csv", "table.csv")
    ]
    found = [f"batch: {each}" for command in commands for each in command.wait().complaints(0)]
    out = pd.read_csv(place.folder / "out.csv")
    one, other = len(out) == 300 and not (out.x0 == 0.5).all(), len(out) == 400 and (out.x0 == 0.5).all()
    if not (one or other):
        found.append(f"the output mixes rows: {len(out)} rows, {(out.x0 == 0.5).sum()} of the second file")
    return found + broken_store(place.folder / "mlflow.db")


def two_judgements(place: Place) -> list[str]:
    """Judge two versions at once; each move of the champion is in the history, and the aliases are in step."""
    place.put_back("champions")
    commands = [
        Command(place.folder, "main", (*TABLE, *SMALL, "--promote", "always", "--seed", seed), said=seed)
        for seed in ("3", "4")
    ]
    found = [f"chain: {each}" for command in commands for each in command.wait().complaints(0)]
    return found + broken_store(place.folder / "mlflow.db") + _lost_moves(place, 4)


def _lost_moves(place: Place, moves: int) -> list[str]:
    known = history_of(place.folder / "mlflow.db")
    return [] if len(known) == moves else [f"the history of {NAME} has {len(known)} moves instead of {moves}"]


def outcomes(full: bool, seed: int) -> Iterator[Outcome]:
    """Try each as often as asked; nothing is drawn."""
    tries = {
        f"{CHAINS} chains on a fresh folder": first_start,
        "two batches to one output": two_batches,
        "two chains promote at once": two_judgements,
    }
    with places(1) as free:
        place = free.get()
        for what, tried in tries.items():
            outcome = Outcome(what)
            for number in range(ROUNDS[full]):
                outcome.note(f"round {number}", tried(place))
            yield outcome
