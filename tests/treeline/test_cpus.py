"""The CPU budget: the smallest of affinity and every quota above the process, never below 1."""

import os
from pathlib import Path

import pytest

from treeline.cpus import cpu_budget

CPUS = 16


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that allows this process 16 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(CPUS)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def tree(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write a cgroup file system and the file that names a process's cgroup."""
    cgroups = folder / "cgroup"
    cgroups.mkdir()
    for name, text in files.items():
        path = cgroups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (folder / "own").write_text(own)
    return cgroups, folder / "own"


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, CPUS),
        ({"a/b/cpu.max": "max 100000"}, CPUS),
        ({"a/b/cpu.max": "400000 100000"}, 4),
        ({"a/b/cpu.max": "150000 100000"}, 1),
        ({"a/b/cpu.max": "299999 100000"}, 2),
        ({"a/b/cpu.max": "20000 100000"}, 1),
        ({"a/b/cpu.max": "100000 50000"}, 2),
        ({"a/b/cpu.max": "9900000 100000"}, CPUS),
        ({"a/b/cpu.max": "600000 100000", "a/cpu.max": "300000 100000"}, 3),
        ({"a/b/cpu.max": "300000 100000", "a/cpu.max": "600000 100000"}, 3),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ({"a/b/cpu.max": "max 100000", "cpu.max": "500000 100000"}, 5),
        ({"a/cpu.max": "700000 100000"}, 7),
        ({"other/cpu.max": "100000 100000", "a/b/c/cpu.max": "100000 100000"}, CPUS),
        ({"a/b/cpu.max": "nonsense"}, CPUS),
        ({"a/b/cpu.max": ""}, CPUS),
    ],
)
def test_version_2_takes_the_tightest_group_up_to_the_root(tmp_path: Path, files: dict[str, str], cpus: int) -> None:
    assert cpu_budget(*tree(tmp_path, "0::/a/b\n", files)) == cpus


def test_a_process_in_the_root_group_has_the_root_s_quota(tmp_path: Path) -> None:
    assert cpu_budget(*tree(tmp_path, "0::/\n", {"cpu.max": "200000 100000"})) == 2


@pytest.mark.parametrize(("quota", "cpus"), [("350000", 3), ("-1", CPUS), ("10000", 1), ("nonsense", CPUS)])
def test_version_1_takes_the_cfs_quota_of_the_cpu_controller(tmp_path: Path, quota: str, cpus: int) -> None:
    own = "12:memory:/elsewhere\n4:cpu,cpuacct:/job\n1:name=systemd:/x\n"
    files = {"cpu/job/cpu.cfs_quota_us": quota, "cpu/job/cpu.cfs_period_us": "100000"}
    assert cpu_budget(*tree(tmp_path, own, files)) == cpus


def test_version_1_takes_the_tighter_parent(tmp_path: Path) -> None:
    files = {"cpu/job/cpu.cfs_quota_us": "800000", "cpu/job/cpu.cfs_period_us": "100000"}
    files |= {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}
    assert cpu_budget(*tree(tmp_path, "4:cpu,cpuacct:/job\n", files)) == 2


def test_a_quota_of_another_controller_is_none(tmp_path: Path) -> None:
    files = {"cpu/job/cpu.cfs_quota_us": "100000", "cpu/job/cpu.cfs_period_us": "100000"}
    assert cpu_budget(*tree(tmp_path, "4:cpuset:/job\n3:memory:/job\n", files)) == CPUS


def test_without_cgroups_the_affinity_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cpu_budget(tmp_path / "absent", tmp_path / "absent") == CPUS
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert cpu_budget(tmp_path / "absent", tmp_path / "absent") == 1


@pytest.mark.parametrize(("count", "cpus"), [(6, 6), (None, 1)])
def test_where_affinity_is_unknown_the_machine_s_count_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int | None, cpus: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert cpu_budget(tmp_path / "absent", tmp_path / "absent") == cpus


@pytest.mark.parametrize(
    ("share", "cpus"), [("3", 3), ("64", CPUS), ("1", 1), ("", CPUS), ("4,2", CPUS), ("all", CPUS)]
)
def test_the_share_that_a_caller_leaves_is_not_exceeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: str, cpus: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", share)
    assert cpu_budget(tmp_path / "absent", tmp_path / "absent") == cpus


def test_this_process_has_a_cpu() -> None:
    assert cpu_budget() >= 1
