"""Damaged, strange and hostile bundles: each is one sentence, and nothing of it reaches the store or runs."""

import contextlib
import json
import os
import random
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from tables_maker import make_problem

from tracking import unpacking
from tracking.models import TRUSTED, form_names
from tracking.unpacking import unpacked
from treeline import StoreError, UserError
from treeline.data.chunks import file_digest

RUN = {"run_id": "0" * 32, "name": "stage", "params": {"seed": "0"}, "metrics": {"rows": 3.0}, "tags": {"stage": "x"}}
FLAVORS: dict[str, dict[str, Any]] = {
    "M": {
        "python_function": {"loader_module": "mlflow.sklearn"},
        "sklearn": {"serialization_format": "skops", "skops_trusted_types": TRUSTED},
    },
    "MBooster": {
        "python_function": {"loader_module": "mlflow.xgboost"},
        "xgboost": {"model_class": "xgboost.core.Booster", "model_format": "ubj"},
    },
    "MService": {"python_function": {"loader_module": "mlflow.pyfunc.loaders.code_model"}},
}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def seal(folder: Path, **given: Any) -> Path:
    """Write the manifest of what lies in a folder, as export-model does, but for what is given; None leaves it out."""
    (folder / "manifest.json").unlink(missing_ok=True)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    manifest = {
        "format": "treeline-bundle",
        "format_version": 1,
        "name": "M",
        "version": "3",
        "treeline_version": "0.1.0",
        "exported": "2026-11-27T10:00:00Z",
        "files": {name: file_digest(path) for name, path in files.items()},
        "sizes": {name: path.stat().st_size for name, path in files.items()},
        **given,
    }
    write(folder / "manifest.json", {key: value for key, value in manifest.items() if value is not None})
    return folder


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A small bundle, as a folder."""
    folder = tmp_path / "good"
    for form in form_names("M"):
        write(folder / "models" / form / "MLmodel", yaml.safe_dump({"flavors": FLAVORS[form]}))
        write(folder / "models" / form / "model.bin", random.Random(form).randbytes(3000).hex())
    for key in ("data", "tuning", "training"):
        write(folder / "runs" / key / "run.json", RUN)
    write(folder / "runs/data/artifacts/problem.json", asdict(make_problem()))
    write(folder / "runs/tuning/artifacts/best.json", {})
    write(folder / "runs/tuning/artifacts/trials.csv", "trial\n")
    write(folder / "runs/training/artifacts/golden.json", {"request": {}, "answer": []})
    return seal(folder)


def zipped(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder.parent / "packed"), "zip", folder))


def opened(source: Path) -> dict[str, bytes]:
    """Open a bundle; give what a reader of it finds."""
    with unpacked(source) as (folder, _):
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(source: Path) -> str:
    with pytest.raises(UserError) as caught:
        opened(source)
    told = str(caught.value)
    assert "\n" not in told
    assert str(source) in told
    return told


def test_a_good_bundle_opens_as_a_folder_and_as_a_zip(good: Path) -> None:
    content = opened(good)
    assert len(content) == 14
    assert opened(zipped(good)) == content


def test_a_bundle_of_before_the_sizes_stood_in_it_opens(good: Path) -> None:
    assert opened(zipped(seal(good, sizes=None))) == opened(good)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"format": "other"}, "is a bundle of format other 1"),
        ({"format_version": 2}, "is a bundle of format treeline-bundle 2"),
        ({"format_version": None}, "it has no readable manifest.json"),
        ({"name": None}, "has the name 'None'"),
        ({"name": ["M"]}, "has the name"),
        ({"name": "../M"}, "none of / : ."),
        ({"name": "M" * 201}, "200 signs at most"),
        ({"name": "MBooster"}, "is that of a form of a model"),
        ({"name": "Other"}, "it lacks models/Other/MLmodel"),
        ({"version": 3}, "has the version '3'"),
        ({"version": "03"}, "has the version '03'"),
        ({"version": "3; DROP"}, "has the version"),
        ({"treeline_version": None}, "has the treeline_version 'None'"),
        ({"treeline_version": "1 or 2"}, "has the treeline_version"),
        ({"exported": "yesterday"}, "has the exported"),
        ({"files": []}, "does not list the files"),
        ({"files": {"a": 3}}, "does not list the files"),
        ({"sizes": [1]}, "does not list the size"),
        ({"sizes": {"a": 1}}, "does not list the size"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_manifest_that_export_model_would_not_write_is_refused(
    good: Path, given: dict[str, Any], sentence: str, packed: bool
) -> None:
    seal(good, **given)
    assert sentence in refusal(zipped(good) if packed else good)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '"x"', "[" * 100_000, "9" * 5000, "\x00"])
def test_a_manifest_that_is_no_object_is_refused(good: Path, content: str) -> None:
    write(good / "manifest.json", content)
    for source in (good, zipped(good)):
        assert "no readable manifest.json" in refusal(source)


def spoil_json(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        write(folder / name, change(json.loads((folder / name).read_text())))

    return spoil


def spoil_flavors(form: str, **given: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        write(folder / "models" / form / "MLmodel", yaml.safe_dump({"flavors": {**FLAVORS[form], **given}}))

    return spoil


PROBLEM, GOLDEN = "runs/data/artifacts/problem.json", "runs/training/artifacts/golden.json"
CONTENTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no form": (lambda folder: shutil.rmtree(folder / "models/MBooster"), "it lacks models/MBooster/MLmodel"),
    "no run": (lambda folder: shutil.rmtree(folder / "runs/tuning"), "it lacks runs/tuning"),
    "no problem": (lambda folder: (folder / PROBLEM).unlink(), "it lacks runs/data/artifacts/problem.json"),
    "a file of nobody's": (lambda folder: write(folder / "extra.txt", "x"), "extra.txt, which is no part"),
    "a run of nobody's": (lambda folder: write(folder / "runs/other/run.json", RUN), "which is no part"),
    "a pickle": (lambda folder: write(folder / "models/M/model.pkl", "x"), "a pickle, which could run any code"),
    "a run of a list": (spoil_json("runs/data/run.json", lambda _: []), "run.json of data is no JSON object"),
    "a run without a name": (spoil_json("runs/data/run.json", lambda it: it | {"name": None}), "is no run's"),
    "a metric of text": (spoil_json("runs/data/run.json", lambda it: it | {"metrics": {"a": "1"}}), "is no run's"),
    "a metric too large": (
        spoil_json("runs/data/run.json", lambda it: it | {"metrics": {"a": 10**400}}),
        "is no run's",
    ),
    "tags of a list": (spoil_json("runs/data/run.json", lambda it: it | {"tags": []}), "is no run's"),
    "a param of a number": (spoil_json("runs/data/run.json", lambda it: it | {"params": {"a": 1}}), "is no run's"),
    "a problem of another kind": (spoil_json(PROBLEM, lambda it: it | {"more": 1}), "is no problem of this Treeline"),
    "a problem cut short": (lambda folder: write(folder / PROBLEM, '{"task"'), "is no JSON object"),
    "requests without answers": (spoil_json(GOLDEN, lambda _: {"request": {}}), "holds no recorded requests"),
    "a model of pickle": (spoil_flavors("M", sklearn={"serialization_format": "cloudpickle"}), "would be loaded by"),
    "a model that trusts": (spoil_flavors("M", sklearn={"skops_trusted_types": ["os.system"]}), "would be loaded by"),
    "a model of any class": (spoil_flavors("MBooster", xgboost={"model_class": "os.system"}), "would be loaded by"),
    "a model of any loader": (
        spoil_flavors("MService", python_function={"loader_module": "subprocess"}),
        "would be loaded by",
    ),
    "a pickled function": (
        spoil_flavors(
            "MService",
            python_function={"loader_module": "mlflow.pyfunc.loaders.code_model", "python_model": "a.bin"},
        ),
        "would be loaded by",
    ),
    "another flavor": (spoil_flavors("M", pytorch={}), "would be loaded by"),
    "no flavor": (lambda folder: write(folder / "models/M/MLmodel", "x: 1"), "describes no model"),
    "YAML that runs": (
        lambda folder: write(folder / "models/M/MLmodel", "flavors: !!python/object/apply:os.system [exit]"),
        "describes no model",
    ),
    "YAML without end": (lambda folder: write(folder / "models/M/MLmodel", "[" * 5000), "describes no model"),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_contents_that_export_model_would_not_pack_are_refused_though_the_manifest_holds(good: Path, kind: str) -> None:
    change, sentence = CONTENTS[kind]
    change(good)
    seal(good)
    assert sentence in refusal(good)
    assert sentence in refusal(zipped(good))


def test_a_link_a_device_or_what_cannot_be_read_is_refused_in_a_folder(good: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    write(secret, "secret")
    for make in (
        lambda path: path.symlink_to(secret),
        lambda path: path.symlink_to(tmp_path, target_is_directory=True),
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,
    ):
        entry = good / "models/M/more"
        make(entry)
        assert "is a link or a device" in refusal(good)
        entry.unlink()
    assert opened(good)
    assert "neither a folder nor a file" in refusal(Path("/dev/null"))


def test_a_file_where_a_folder_should_be_is_refused(good: Path) -> None:
    shutil.rmtree(good / "models/M")
    write(good / "models/M", "x")
    assert "beyond what was exported, models/M." in refusal(good)


def hostile(folder: Path, name: str, content: bytes = b"x", **attributes: Any) -> Path:
    """Zip a good bundle with one more entry, whatever it is."""
    source = zipped(folder)
    entry = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(entry, key, value)
    with zipfile.ZipFile(source, "a") as packed:
        packed.writestr(entry, content)
    return source


@pytest.mark.parametrize(
    ("name", "attributes", "sentence"),
    [
        ("/etc/evil", {}, "leads out of it"),
        ("../evil", {}, "leads out of it"),
        ("models/../../evil", {}, "leads out of it"),
        ("models//evil", {}, "leads out of it"),
        ("models\\..\\evil", {}, "leads out of it"),
        ("C:evil", {}, "leads out of it"),
        ("models/M/link", {"external_attr": (stat.S_IFLNK | 0o777) << 16}, "is no plain file"),
        ("models/M/pipe", {"external_attr": (stat.S_IFIFO | 0o666) << 16}, "is no plain file"),
        ("models/M/disk", {"external_attr": (stat.S_IFBLK | 0o666) << 16}, "is no plain file"),
        ("models/M/MLmodel", {}, "twice"),
        ("models/M/mlMODEL", {}, "twice, if only in other letters"),
        ("models/M/MLmodel/x", {}, "beyond what was exported"),
        ("models/M/more", {}, "beyond what was exported"),
        ("models/M/lzma", {"compress_type": zipfile.ZIP_LZMA}, "packed in another way"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_an_entry_that_is_none_of_a_bundles_is_refused(
    good: Path, tmp_path: Path, name: str, attributes: dict[str, Any], sentence: str
) -> None:
    before = sorted(tmp_path.iterdir())
    assert sentence in refusal(hostile(good, name, **attributes))
    assert {each.name for each in tmp_path.iterdir()} - {each.name for each in before} == {"packed.zip"}


def test_an_encrypted_a_nested_and_an_empty_zip_are_refused(good: Path, tmp_path: Path) -> None:
    source = zipped(good)
    content = bytearray(source.read_bytes())
    for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = content.find(mark)
        while place >= 0:
            content[place + at] |= 1
            place = content.find(mark, place + 4)
    (tmp_path / "locked.zip").write_bytes(content)
    assert "is encrypted" in refusal(tmp_path / "locked.zip")
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as packed:
        packed.write(source, "packed.zip")
    assert "no readable manifest.json" in refusal(tmp_path / "nested.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    assert "no readable manifest.json" in refusal(tmp_path / "empty.zip")
    (tmp_path / "none.zip").write_bytes(b"")
    assert "damaged one" in refusal(tmp_path / "none.zip")


def test_a_zip_that_would_grow_without_measure_is_refused_before_it_is_unpacked(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (good / "models/M/zeros.bin").open("wb") as file:
        file.truncate(100 * 2**20)
    for sizes in ({}, {"sizes": None}):
        source = zipped(seal(good, **sizes))
        with monkeypatch.context() as patch:
            patch.setattr(unpacking.shutil, "copyfileobj", None)
            assert "it would unpack to 100 MiB, more than 100 times its size" in refusal(source)


def test_a_zip_that_has_no_room_is_refused_before_it_is_unpacked(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "SPARE_BYTES", 2**62)
    with pytest.raises(StoreError, match="MiB are free: make room, or let TMPDIR"):
        opened(zipped(good))


def test_a_size_that_is_told_wrong_is_refused(good: Path) -> None:
    manifest = json.loads((good / "manifest.json").read_text())
    write(good / "manifest.json", manifest | {"sizes": manifest["sizes"] | {"models/M/model.bin": 1}})
    for source in (good, zipped(good)):
        assert "it has changed in models/M/model.bin: 6000 bytes, not 1" in refusal(source)


def test_a_zip_whose_directory_lies_about_a_size_is_refused(good: Path, tmp_path: Path) -> None:
    """A file that is larger than the directory says, which the manifest repeats."""
    manifest = json.loads((good / "manifest.json").read_text())
    write(good / "manifest.json", manifest | {"sizes": manifest["sizes"] | {"models/M/model.bin": 10}})
    content = bytearray(zipped(good).read_bytes())
    place = content.rfind(b"models/M/model.bin")
    struct.pack_into("<I", content, place - 46 + 24, 10)
    (tmp_path / "lies.zip").write_bytes(content)
    assert "damaged" in refusal(tmp_path / "lies.zip")


def mutate(content: bytes, seed: int) -> bytes:
    """Change some bytes, cut some out, double some, or cut the end off."""
    rng, made = random.Random(seed), bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if not made:
            break
        at, length = rng.randrange(len(made)), rng.choice([1, 1, 4, 100])
        if rng.random() < 0.3:  # where a zip keeps its directory
            at = max(0, len(made) - rng.randrange(1, 1500))
        kind = rng.randrange(5)
        if kind <= 1:
            made[at : at + length] = rng.randbytes(len(made[at : at + length]))
        elif kind == 2:
            del made[at : at + length]
        elif kind == 3:
            made[at:at] = made[at : at + length]
        else:
            del made[max(at, len(made) // 8) :]
    return bytes(made)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_changed_in_a_bundle_it_is_refused_or_right(good: Path, tmp_path: Path, seed: int) -> None:
    """Twenty zips and ten folders a seed: a sentence, or the very files that were packed."""
    content, source = opened(good), zipped(good)
    whole = source.read_bytes()
    for i in range(20):
        spoiled = tmp_path / "spoiled.zip"
        spoiled.write_bytes(mutate(whole, 1000 * seed + i))
        judged(spoiled, content)
    names = sorted(content)
    for i in range(10):
        shutil.rmtree(tmp_path / "spoiled", ignore_errors=True)
        shutil.copytree(good, tmp_path / "spoiled")
        path = tmp_path / "spoiled" / names[(10 * seed + i) % len(names)]
        path.write_bytes(mutate(path.read_bytes(), 1000 * seed + i))
        if i % 2 and path.name != "manifest.json":
            seal(tmp_path / "spoiled")  # a change that the manifest holds: the documents are read
            judged(tmp_path / "spoiled", None)
        else:
            judged(tmp_path / "spoiled", content)


def judged(source: Path, content: dict[str, bytes] | None) -> None:
    with contextlib.suppress(UserError):
        found = opened(source)
        assert content is None or {**found, "manifest.json": b""} == {**content, "manifest.json": b""}
