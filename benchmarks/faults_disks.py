"""A disk that is full, or only to be read, while a command runs; then the same command with room again.

Each disk is a small one in memory, which only root may mount: without that this part says so and tries nothing.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

from faults_chain import SCENES, Command, Place, Scene, intact_output
from faults_outcome import Outcome

TIMES = {True: 65, False: 13}
ROOM = "512m"
SPARE_KIB = 2_000  # that are left at most when the disk fills up
WITHIN_SECONDS = 90  # of a command that has no room


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Mount a disk of its own on a folder."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    """Change the size of a disk, or whether it can be written."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def used_kib(folder: Path) -> int:
    """Give what is written on a disk."""
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize // 1024


def full(place: Place, scene: Scene, random: Random) -> tuple[str, list[str]]:
    """Fill the disk before a command or while it runs, or let nobody write; make room, and run it again."""
    moment = random.choice([0.0, random.uniform(0, place.time(scene))])
    place.put_back(scene.before)
    room, writable = random.randrange(SPARE_KIB), random.random() > 0.1
    command = None
    if moment:
        command = Command(place.folder, scene.module, scene.argv)
        command.process.join(moment)
    with contextlib.suppress(subprocess.CalledProcessError):  # files are open for writing: it cannot be read-only
        remount(place.folder, f"size={used_kib(place.folder) + room}k" if writable else "ro")
    case = f"{room} KiB of room" if writable else "a disk only to be read"
    ended = (command or Command(place.folder, scene.module, scene.argv)).wait(WITHIN_SECONDS)
    remount(place.folder, f"size={ROOM},rw")
    found = ended.complaints(0, 4)
    if scene.what == "batch-inference":
        found += intact_output(place.folder)
    case = f"{case} after {moment:.2f} s"
    if ended.code == 0:
        return case, found
    again = Command(place.folder, scene.module, scene.argv).wait()
    return case, found + place.complaints(scene, again)


def outcomes(full_: bool, seed: int) -> Iterator[Outcome]:
    """Try every command in turn, as often as asked."""
    if os.geteuid() != 0:
        print("disks: only root may mount them, so none was tried", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "here"
        with disk(folder):
            place = Place(folder, Path(base) / "copies")
            place.prepare()
            for i, scene in enumerate(SCENES):
                outcome = Outcome(f"full disk, {scene.what}")
                for number in range(TIMES[full_] // len(SCENES) + (i < TIMES[full_] % len(SCENES))):
                    outcome.note(*full(place, scene, Random(f"{seed} disk {scene.what} {number}")))
                yield outcome
