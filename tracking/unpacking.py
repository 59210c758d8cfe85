"""A bundle opened: whatever it claims, it is held against its manifest before anything of it is loaded or copied.

Nothing is unpacked that lies outside the folder, is no plain file, or is larger than was said.
"""

import errno
import json
import re
import shutil
import stat
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from tracking.bundle_documents import KEYS, REQUIRED, check_documents, damaged
from tracking.models import form_names
from treeline import StoreError, UserError
from treeline.data.chunks import file_digest
from treeline.data.names import wrong_model_name
from treeline.interruption import stop_if_wished

FORMAT, VERSION = "treeline-bundle", 1
MANIFEST = "manifest.json"
MAX_FILES, MAX_MANIFEST_BYTES = 20_000, 64 * 2**20
MAX_RATIO = 100  # of all files to the zip; what parquet, skops and UBJSON hold is packed already
SMALL_BYTES = 64 * 2**20  # that a zip may hold whatever its ratio
SPARE_BYTES = 256 * 2**20  # of the disk, which stay free
PICKLES = (".pkl", ".pickle", ".joblib", ".cloudpickle", ".dill")
# What zipfile and what it calls raise for damaged bytes.
DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, KeyError),
    *(NotImplementedError, OverflowError, MemoryError),
)


@contextmanager
def unpacked(source: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Open a bundle, having held every file against the manifest; give its folder and the manifest.

    Raises:
        UserError: it is no bundle, one of a later format, damaged, or larger than there is room.
    """
    with tempfile.TemporaryDirectory() as made:
        if source.is_dir():
            folder = source
        elif source.is_file():
            folder = Path(made)
            with _reading(source), zipfile.ZipFile(source) as packed:
                _unpack(packed, source, folder)
        else:
            raise UserError(f"{source} is neither a folder nor a file: name what export-model made.")
        with _reading(source):
            manifest = _check_folder(folder, source)
        check_documents(folder, manifest, source)
        yield folder, manifest


@contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Say in a sentence what keeps a bundle from being read."""
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise StoreError(f"{source} cannot be unpacked in {tempfile.gettempdir()}: {error.strerror}.") from error
        why = str(error).strip().rstrip(".") or type(error).__name__
        raise UserError(f"{source} is no bundle, or a damaged one: {why}. Export it again.") from error


def _unpack(packed: zipfile.ZipFile, source: Path, folder: Path) -> None:
    """Unpack a zip, each file no larger than its manifest says, nothing before all of it is checked."""
    entries = _entries(packed, source)
    if MANIFEST not in entries:
        raise _no_manifest(source)
    if entries[MANIFEST].file_size > MAX_MANIFEST_BYTES:
        raise damaged(source, f"its {MANIFEST} is larger than {MAX_MANIFEST_BYTES // 2**20} MiB")
    manifest = _read_manifest(packed.read(entries.pop(MANIFEST)), source)
    _check_names(manifest, entries, source)
    _check_sizes(manifest, {name: each.file_size for name, each in entries.items()}, source)
    total = sum(each.file_size for each in entries.values())
    if total > max(SMALL_BYTES, MAX_RATIO * source.stat().st_size):
        raise UserError(
            f"{source} is refused: it would unpack to {total / 2**20:,.0f} MiB, more than {MAX_RATIO} times its size, "
            "which no model does."
        )
    free = shutil.disk_usage(folder).free
    if total > free - SPARE_BYTES:
        raise StoreError(
            f"{source} would unpack to {total / 2**20:,.0f} MiB in {tempfile.gettempdir()}, where "
            f"{free / 2**20:,.0f} MiB are free: make room, or let TMPDIR name another folder."
        )
    (folder / MANIFEST).write_bytes(packed.read(MANIFEST))
    for name, entry in entries.items():
        stop_if_wished()
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with packed.open(entry) as file, (folder / name).open("xb") as copy:
            shutil.copyfileobj(file, copy)  # zipfile reads no further than the size that was checked


def _entries(packed: zipfile.ZipFile, source: Path) -> dict[str, zipfile.ZipInfo]:
    """Give the files of a zip by name, all of them plain, each once, all below the folder."""
    if len(packed.infolist()) > MAX_FILES:
        raise damaged(source, f"it has {len(packed.infolist())} entries, more than {MAX_FILES}")
    files: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    for entry in packed.infolist():
        kind = stat.S_IFMT(entry.external_attr >> 16)
        parts = entry.filename.rstrip("/").split("/")
        wrong = (
            "leads out of it"
            if entry.filename.startswith("/") or {"", ".", ".."} & set(parts) or re.search(r"[\\:\0]", entry.filename)
            else "is encrypted"
            if entry.flag_bits & 1
            else "is packed in another way than zips of export-model"
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            else "is no plain file"
            if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG)
            else ""
        )
        if wrong:
            raise damaged(source, f"its entry {entry.filename!r} {wrong}")
        if entry.is_dir():
            continue
        same = unicodedata.normalize("NFC", entry.filename).casefold()
        if same in seen:
            raise damaged(source, f"it has {entry.filename!r} twice, if only in other letters")
        seen.add(same)
        files[entry.filename] = entry
    return files


def _check_folder(folder: Path, source: Path) -> dict[str, Any]:
    """Hold an open bundle against its manifest: names, then sizes, then contents."""
    files = _plain_files(folder, source)
    if MANIFEST not in files:
        raise _no_manifest(source)
    if files.pop(MANIFEST).stat().st_size > MAX_MANIFEST_BYTES:
        raise damaged(source, f"its {MANIFEST} is larger than {MAX_MANIFEST_BYTES // 2**20} MiB")
    manifest = _read_manifest((folder / MANIFEST).read_bytes(), source)
    _check_names(manifest, files, source)
    _check_sizes(manifest, {name: path.stat().st_size for name, path in files.items()}, source)
    for name, path in files.items():
        stop_if_wished()
        if file_digest(path) != manifest["files"][name]:
            raise damaged(source, f"it has changed in {name}")
    return manifest


def _plain_files(folder: Path, source: Path) -> dict[str, Path]:
    """Give the files below a folder by name; a link or a device is refused, and nothing is read through one."""
    found, folders = {}, [folder]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
            if stat.S_ISDIR(mode):
                folders.append(path)
            elif stat.S_ISREG(mode):
                found[name] = path
            else:
                raise damaged(source, f"its entry {name!r} is a link or a device, no plain file")
            if len(found) > MAX_FILES:
                raise damaged(source, f"it has more than {MAX_FILES} files")
    return found


def _no_manifest(source: Path) -> UserError:
    return UserError(f"{source} is no bundle: it has no readable {MANIFEST}. Make one with export-model.")


def _read_manifest(content: bytes, source: Path) -> dict[str, Any]:
    """Read a manifest of which every part is as export-model writes it."""
    try:
        manifest = json.loads(content)
        format_, version = manifest["format"], manifest["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _no_manifest(source) from None
    if format_ != FORMAT or version != VERSION:
        raise UserError(f"{source} is a bundle of format {format_} {version}; this Treeline reads {FORMAT} {VERSION}.")
    patterns = {
        "name": r".+",
        "version": r"[1-9][0-9]{0,8}",
        "treeline_version": r"[0-9A-Za-z.+!_-]{0,50}",
        "exported": r"[0-9TZ:.+-]{10,40}",
    }
    for key, pattern in patterns.items():
        value = manifest.get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise damaged(source, f"its {MANIFEST} has the {key} {str(value)[:50]!r}")
    if why := wrong_model_name(manifest["name"]):
        raise damaged(source, f"its model has the name {manifest['name'][:50]!r}: {why}")
    files, sizes = manifest.get("files"), manifest.get("sizes", {})
    if not isinstance(files, dict) or not all(
        isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest) for digest in files.values()
    ):
        raise damaged(source, f"its {MANIFEST} does not list the files and their SHA-256")
    if not isinstance(sizes, dict) or (sizes and sizes.keys() != files.keys()):
        raise damaged(source, f"its {MANIFEST} does not list the size of every file")
    return dict(manifest)


def _check_names(manifest: Mapping[str, Any], there: Iterable[str], source: Path) -> None:
    """Hold the names of files against those that the manifest lists, and against those that a bundle has."""
    files, found = manifest["files"], set(there)
    for name in sorted(found - files.keys()):
        raise damaged(source, f"it has, beyond what was exported, {name}")
    for name in sorted(files.keys() - found):
        raise damaged(source, f"it lacks {name}")
    forms = form_names(manifest["name"])
    needed = {f"models/{form}/MLmodel" for form in forms} | {f"runs/{key}/run.json" for key in REQUIRED}
    needed |= {f"runs/{key}/artifacts/{name}" for key, names in REQUIRED.items() for name in names}
    for name in sorted(needed - files.keys()):
        raise damaged(source, f"it lacks {name}")
    for name in files:
        kind, _, rest = name.partition("/")
        home, _, below = rest.partition("/")
        is_run_file = kind == "runs" and home in KEYS and (below == "run.json" or below.startswith("artifacts/"))
        if not is_run_file and not (kind == "models" and home in forms and below):
            raise damaged(source, f"it has {name}, which is no part of a bundle")
        if PurePosixPath(name).suffix.lower() in PICKLES:
            raise damaged(source, f"it has {name}, a pickle, which could run any code")


def _check_sizes(manifest: Mapping[str, Any], there: Mapping[str, int], source: Path) -> None:
    """Hold the sizes of files against the manifest; one of before they stood there says nothing of them."""
    for name, size in manifest.get("sizes", {}).items():
        if there[name] != size:
            raise damaged(source, f"it has changed in {name}: {there[name]} bytes, not {str(size)[:20]}")
