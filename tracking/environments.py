"""The environments that `mlflow run` has built for Treeline: which nobody has used for long."""

import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
from mlflow.environment_variables import MLFLOW_ENV_ROOT

from tracking.trash import Unused, size_of

NAME = re.compile(r"mlflow-[0-9a-f]{40}")
# What requirements.txt of every version has named beside each other, and hardly another project does.
OURS = ("mlflow", "optuna", "skops", "xgboost", "loguru")


def unused_environments(before: float) -> list[Unused]:
    """Find the environments that Treeline's requirements once filled and no process has opened since.

    Args:
        before: Unix time; what was used later stays.
    """
    running = {each.info["exe"] or "" for each in psutil.process_iter(["exe"])}
    running |= {word for each in psutil.process_iter(["cmdline"]) for word in (each.info["cmdline"] or [])[:2]}
    return [
        Unused("environment of mlflow run", str(path), size_of(path), partial(shutil.rmtree, path))
        for path in _environments()
        if _is_ours(path) and _last_used(path) < before and not any(word.startswith(f"{path}/") for word in running)
    ]


def _environments() -> Iterator[Path]:
    """Give what uv and virtualenv keep in MLflow's folder, and conda in its own list of all environments."""
    roots = [Path(MLFLOW_ENV_ROOT.get()).expanduser()]
    listed = Path.home() / ".conda" / "environments.txt"
    conda = [Path(line) for line in listed.read_text(encoding="utf-8").split("\n")] if listed.is_file() else []
    for path in sorted({*(each for root in roots if root.is_dir() for each in root.iterdir()), *conda}):
        if NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            yield path


def _is_ours(environment: Path) -> bool:
    folders = environment.glob("lib/python3*/site-packages")
    return any(all(list(each.glob(f"{name}*-*.dist-info")) for name in OURS) for each in folders)


def _last_used(environment: Path) -> float:
    """Say when Python last started there: each start reads `pyvenv.cfg`, and conda's the interpreter itself.

    Disks that keep no times of reading say when the environment was made.
    """
    marks = [environment / "pyvenv.cfg", *environment.glob("conda-meta/history"), *environment.glob("bin/python3.*")]
    times = [each.stat() for each in marks if each.exists() and not each.is_symlink()]
    return max((max(each.st_atime, each.st_mtime) for each in times), default=environment.stat().st_mtime)
