"""Where the answers of a batch go: the file, the one beside it for rejected rows, and whether both can be written."""

import os
from pathlib import Path

from treeline import StoreError, UserError
from treeline.data.chunks import WRITABLE
from treeline.data.files import exists


def rejected_path(output: Path) -> Path:
    """Name the file of the rejected rows: `scores.rejected.parquet` for `scores.parquet`."""
    ending = next(ending for ending in WRITABLE if output.name.lower().endswith(ending))
    return output.with_name(f"{output.name[: -len(ending)]}.rejected{output.name[-len(ending) :]}")


def check_writable(output: Path) -> None:
    """Refuse an output that cannot be written, before hours are spent on it.

    Raises:
        UserError: there is no folder for it, or something that is no file has its name.
        StoreError: the folder or the file is protected.
    """
    for path in (output, rejected_path(output)):
        folder = Path(os.path.realpath(path)).parent  # where a link leads
        if not exists(str(folder)) or not folder.is_dir():
            raise UserError(f"No folder {str(folder)!r} to write {path.name} in: make it first.")
        if exists(str(path)) and not path.is_file():
            raise UserError(f"{str(path.absolute())!r}, to be written, is a folder or a device: name another output.")
        protected = path if path.is_file() and not os.access(path, os.W_OK) else folder
        if not os.access(protected, os.W_OK):
            raise StoreError(f"{str(protected)!r} is protected from writing: allow it, or name another output.")


def check_apart(source: Path, output: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        UserError: the output or the file of rejected rows is the input, or lies in its folder of parts.
    """
    read = source.resolve()
    for path in (output, rejected_path(output)):
        if path.resolve() == read or (path.exists() and path.samefile(source)):
            what = "The output" if path == output else f"{path.name}, which takes the rows that {output.name} cannot,"
            raise UserError(f"{what} is the input itself, {str(source)!r}: name another output.")
        if source.is_dir() and path.resolve().is_relative_to(read):
            raise UserError(f"{str(output)!r} lies in the folder that is read, {str(source)!r}: name another output.")
