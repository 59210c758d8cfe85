"""SIGTERM at a random moment of every command: it ends by itself, tidily; then the same command again."""

from collections.abc import Iterator
from random import Random

from faults_chain import SCENES, Command, Place, Scene, intact_output
from faults_outcome import Outcome
from faults_places import each_scene
from faults_store import broken_store

TIMES = {True: 100, False: 13}
LIMIT_SECONDS = 30  # for the end of what was begun


def stopped(place: Place, scene: Scene, random: Random) -> tuple[str, list[str]]:
    """Stop a command at a random moment; tell the moment, and what is wrong then, and once it has been run again."""
    moment = random.uniform(0.3, place.time(scene))  # a process that has not begun dies of the signal
    place.put_back(scene.before)
    command = Command(place.folder, scene.module, scene.argv)
    command.process.join(moment)
    command.process.terminate()
    ended = command.wait(LIMIT_SECONDS)
    found = ended.complaints(0, 130)
    if (place.folder / "mlflow.db").exists():
        found += broken_store(place.folder / "mlflow.db")
    if scene.what == "batch-inference":
        found += intact_output(place.folder)
    if ended.code == 0:
        return f"after {moment:.2f} s", found
    again = Command(place.folder, scene.module, scene.argv).wait()
    return f"after {moment:.2f} s", found + place.complaints(scene, again)


def outcomes(full: bool, seed: int) -> Iterator[Outcome]:
    """Stop every command in turn, as often as asked."""
    return each_scene("SIGTERM", SCENES, TIMES[full], seed, stopped)
