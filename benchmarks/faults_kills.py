"""SIGKILL at a random moment of every command; then the same command again."""

from collections.abc import Iterator
from random import Random

from faults_chain import SCENES, Command, Place, Scene, intact_output
from faults_outcome import Outcome
from faults_places import each_scene

TIMES = {True: 200, False: 13}


def killed(place: Place, scene: Scene, random: Random) -> tuple[str, list[str]]:
    """Kill a command at a random moment; tell the moment, and what is wrong once it has been run again."""
    moment = random.uniform(0, place.time(scene))
    place.put_back(scene.before)
    command = Command(place.folder, scene.module, scene.argv)
    command.process.join(moment)
    command.process.kill()
    command.process.join()
    found = intact_output(place.folder) if scene.what == "batch-inference" else []
    again = Command(place.folder, scene.module, scene.argv).wait()
    return f"after {moment:.2f} s", found + place.complaints(scene, again)


def outcomes(full: bool, seed: int) -> Iterator[Outcome]:
    """Kill every command in turn, as often as asked."""
    return each_scene("SIGKILL", SCENES, TIMES[full], seed, killed)
