"""What a record says about where it was made."""

import importlib.metadata
import platform
import resource
import subprocess
from contextlib import suppress
from pathlib import Path

import torch

from neighborgraph.version import __version__

PACKAGES = ("torch", "numba", "numpy")
OPTIONAL_PACKAGES = ("ogb", "py-tgb")
"""Named where they are installed."""


def versions() -> dict[str, str]:
    """Python's and the main packages' versions."""
    own = {"neighborgraph": __version__, "python": platform.python_version()}
    own |= {name: importlib.metadata.version(name) for name in PACKAGES}
    for name in OPTIONAL_PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            own[name] = importlib.metadata.version(name)
    return own


def commit() -> str:
    """The checkout's commit, with ``-dirty`` when it was changed; empty outside of a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def device_name(device: torch.device, processes: int = 1) -> str:
    """The device in words, and how many processes trained on one like it."""
    many = f"{processes} x " if processes > 1 else ""
    if device.type == "cuda":
        return f"{many}{device} ({torch.cuda.get_device_name(device)})"
    return f"{many}cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def peak_memory_mb(device: torch.device) -> float:
    """Most memory held: by the GPU's allocator, or by the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
