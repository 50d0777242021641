"""Say what this machine can do, and why not."""

import argparse
import importlib.metadata
import os
import platform
from pathlib import Path

import torch

from neighborgraph.jit import driver
from neighborgraph.paths import cache_root, data_root
from neighborgraph.version import __version__

PACKAGES = ("numba", "torch-geometric", "scikit-learn", "safetensors", "cuda-core", "ogb")


def configure(parser: argparse.ArgumentParser) -> None:
    """``neighborgraph env`` has no options of its own."""


def command(options: argparse.Namespace) -> int:
    """Print one fact a line."""
    for name, value in facts().items():
        print(f"{name:<18}{value}")
    return 0


def facts() -> dict[str, str]:
    """Every fact under its name."""
    probe = driver()
    build = torch.version.cuda or "none"
    rows = {
        "neighborgraph": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cores": f"{os.cpu_count()}, {torch.get_num_threads()} used by torch",
        "torch": f"{torch.__version__} (CUDA build: {build})",
        "driver": f"CUDA {probe.version}" if probe.available else f"none: {probe.reason}",
    }
    if probe.available:
        for number in range(torch.cuda.device_count()):
            major, minor = torch.cuda.get_device_capability(number)
            name = torch.cuda.get_device_name(number)
            rows[f"cuda:{number}"] = f"{name}, compute capability {major}.{minor}"
    rows |= {name: version(name) for name in PACKAGES}
    rows["kernel cache"] = folder_state(cache_root())
    rows["data folder"] = folder_state(data_root())
    return rows


def version(package: str) -> str:
    """The installed version, or that there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def folder_state(folder: Path) -> str:
    """A folder and whether it can be used."""
    if folder.is_dir():
        return f"{folder} ({'writable' if os.access(folder, os.W_OK) else 'read-only'})"
    if folder.exists():
        return f"{folder} (not a folder)"
    return f"{folder} (absent)"
