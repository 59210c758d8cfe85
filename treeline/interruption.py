"""A wish to stop, noted when it comes and granted where nothing is half done.

An exception raised by a signal's handler lands wherever the code happens to be: in a callback that swallows it, inside
a library that is written in C, between two statements of a database. So the handler only notes the wish, and whoever
works long asks for it between two pieces of work.
"""

import threading

_wished = threading.Event()


def wish() -> None:
    """Note that the process is to stop; safe in a signal's handler and in any thread."""
    _wished.set()


def withdraw() -> None:
    """Forget the wish, as a new command does."""
    _wished.clear()


def wished() -> bool:
    """Tell whether the process is to stop."""
    return _wished.is_set()


def stop_if_wished() -> None:
    """End here if the process is to stop: to be called between rounds, trials, pieces and acts.

    Raises:
        KeyboardInterrupt: it is.
    """
    if wished():
        raise KeyboardInterrupt
