"""How many CPUs this process really has: its affinity and its cgroup's quota, not the host's count, and of those what
OMP_NUM_THREADS leaves it, which joblib sets for processes that it runs side by side.
"""

import os
from pathlib import Path


def cpu_budget(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Count the whole CPUs that this process may keep busy, at least 1.

    Args:
        cgroups: where the cgroup file system is mounted (version 1 or 2).
        own: the file that names this process's cgroup.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get("OMP_NUM_THREADS", "")
    shares = [int(share)] if share.isdigit() else []  # OpenMP also allows a list, one a nesting level
    return max(1, min([allowed, *shares, *(int(quota) for quota in _quotas(cgroups, own))]))


def _quotas(cgroups: Path, own: Path) -> list[float]:
    """Every quota between this process's cgroup and the root, in CPUs; empty where there is none."""
    lines = own.read_text().splitlines() if own.is_file() else []
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = cgroups / "cpu" if controllers else cgroups
        group = top / path.lstrip("/")
        for folder in [group, *group.parents]:
            if not folder.is_relative_to(top):
                break
            quotas += _quota(folder)
    return quotas


def _quota(folder: Path) -> list[float]:
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = (folder / "cpu.cfs_quota_us").read_text(), (folder / "cpu.cfs_period_us").read_text()
        return [float(quota) / float(period)] if float(quota) > 0 else []
    except (OSError, ValueError):  # no such file here, or "max": no quota at this level
        return []
