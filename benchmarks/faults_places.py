"""Scenes tried side by side, each in a folder of its own."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from random import Random

from faults_chain import Place, Scene
from faults_outcome import Outcome

SIDE_BY_SIDE = 2


@contextmanager
def places(count: int = SIDE_BY_SIDE) -> Iterator["SimpleQueue[Place]"]:
    """Prepare folders; give a queue to take one from and put it back."""
    with tempfile.TemporaryDirectory() as base, ThreadPoolExecutor(count) as pool:
        made = [Place(Path(base) / str(i) / "here", Path(base) / str(i) / "copies") for i in range(count)]
        list(pool.map(Place.prepare, made))
        free: SimpleQueue[Place] = SimpleQueue()
        for place in made:
            free.put(place)
        yield free


def each_scene(
    fault: str,
    scenes: Sequence[Scene],
    times: int,
    seed: int,
    tried: Callable[[Place, Scene, Random], tuple[str, list[str]]],
) -> Iterator[Outcome]:
    """Try a fault on every scene, `times` in all, and give what came of each.

    Args:
        fault: what it is called.
        scenes: in turn.
        times: in all; every scene has as many as another or one more.
        seed: of the moments.
        tried: tries it once; tells the case, and what was wrong after it.
    """
    with places() as free, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:

        def once(scene: Scene, number: int) -> tuple[str, list[str]]:
            place = free.get()
            try:
                return tried(place, scene, Random(f"{seed} {fault} {scene.what} {number}"))
            finally:
                free.put(place)

        for i, scene in enumerate(scenes):
            outcome = Outcome(f"{fault}, {scene.what}")
            count = times // len(scenes) + (i < times % len(scenes))
            for case, complaints in pool.map(once, [scene] * count, range(count)):
                outcome.note(case, complaints)
            yield outcome
