"""The lock of a registered model: whoever changes its versions, its aliases or its history holds it, on every machine.

Processes that share the folder of a store lock the folder. Through a server nothing but the registry is shared, and it
offers no more than tags, of which the last writer wins. So they queue as in Lamport's bakery: each writes a tag that
nobody else writes, draws a place behind all that it sees, and goes in when nobody is drawing or stands before it.
"""

import json
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import mlflow
from mlflow.exceptions import MlflowException

from tracking.owners import Owner, this_process
from tracking.store import registry_lock
from treeline.interruption import stop_if_wished

QUEUE = "queue."  # tags of NAME, one a waiting process
REGISTERING = "registering"  # tag of NAME while versions are registered: what to undo should they not be
HELD_SECONDS = 120.0  # after which a place is taken over from a process that cannot be looked at from here
POLL_SECONDS = 0.1
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the latter for an alias that is not there


@dataclass(frozen=True)
class Place:
    """A place in the queue.

    Attributes:
        owner: the process; None where the tag is garbled.
        number: from 1; 0 while it is drawn.
        at: when it was drawn, in seconds of Unix time.
    """

    owner: Owner | None
    number: int
    at: float

    @classmethod
    def of_tag(cls, value: str) -> "Place":
        """Read it from a tag; a garbled one is nobody's."""
        try:
            told = json.loads(value)
            return cls(Owner.of_tags(told), int(told["number"]), float(told["at"]))
        except (ValueError, TypeError, KeyError):
            return cls(None, 0, 0.0)

    def is_left(self) -> bool:
        """Tell whether nobody stands there any more."""
        age = time.time() - self.at
        if self.owner is None or self.owner.is_gone(age):
            return True
        return self.owner.host != this_process().host and age > HELD_SECONDS


@contextmanager
def model_lock(name: str, make: bool = False) -> Iterator[None]:
    """Let one process at a time change what is registered under a name; it must not be taken twice.

    Args:
        name: of the pipeline's registered model; it stands for its other two forms.
        make: register the name where it is not; it is marked as not done.

    Raises:
        KeyboardInterrupt: the process is to stop, and had not got it yet.
    """
    stop_if_wished()
    with registry_lock():
        if _is_shared_by_folder():
            if make:
                _make(name)
            yield
            return
        key = QUEUE + uuid.uuid4().hex
        try:
            _queue(name, key, make)
            yield
        finally:
            _leave(name, key)


def _is_shared_by_folder() -> bool:
    """Tell whether all who reach the registry share the folder of its file."""
    return mlflow.get_registry_uri().startswith("sqlite:")


def is_absent(error: MlflowException) -> bool:
    """Tell whether the registry says that what was asked for is not there, and nothing worse."""
    return error.error_code in ABSENT


def _queue(name: str, key: str, make: bool) -> None:
    """Wait until it is our turn."""
    while True:
        stop_if_wished()
        if make:
            _make(name)
        others = _places(name)
        mine = others.pop(key, None)
        # A place that grows old is given up, before another takes it over and both go in.
        if mine is None or time.time() - mine.at > HELD_SECONDS / 2:
            _draw(name, key)
        elif all(each.number and (each.number, other) > (mine.number, key) for other, each in others.items()):
            return
        else:
            time.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))


def _draw(name: str, key: str) -> None:
    _write(name, key, 0)
    _write(name, key, 1 + max((each.number for each in _places(name).values()), default=0))


def _write(name: str, key: str, number: int) -> None:
    place = {**this_process().tags(), "number": number, "at": time.time()}
    try:
        mlflow.MlflowClient().set_registered_model_tag(name, key, json.dumps(place))
    except MlflowException as error:
        if not is_absent(error):  # where it was deleted meanwhile, the next look tells
            raise


def _places(name: str) -> dict[str, Place]:
    """Read who queues, all at one moment; those that are gone are struck off."""
    tags = mlflow.MlflowClient().get_registered_model(name).tags
    found = {key: Place.of_tag(value) for key, value in tags.items() if key.startswith(QUEUE)}
    for key in [key for key, place in found.items() if place.is_left()]:
        _leave(name, key)
        del found[key]
    return found


def _leave(name: str, key: str) -> None:
    try:
        mlflow.MlflowClient().delete_registered_model_tag(name, key)
    except MlflowException as error:
        if not is_absent(error):  # struck off by another, or the name is registered no more
            raise


def _make(name: str) -> None:
    client = mlflow.MlflowClient()
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if not is_absent(error):
            raise
        try:
            client.create_registered_model(name, {REGISTERING: "{}"})
        except MlflowException as other:
            if other.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
