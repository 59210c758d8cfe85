"""A claim of the simulations: what was found of it."""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@dataclass(frozen=True)
class Claim:
    """A figure that a simulation found.

    Attributes:
        what: is claimed, and of which tables.
        figure: found.
        goal: that it is held against.
        holds: whether it reaches the goal.
        repeats: of the simulation.
        seed: of the first.
    """

    what: str
    figure: str
    goal: str
    holds: bool
    repeats: int
    seed: int = 0
