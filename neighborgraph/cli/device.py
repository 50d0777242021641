"""From ``--device`` to a device that works here."""

import importlib.util
import re

import torch

from neighborgraph.checks import nearest
from neighborgraph.errors import BackendUnavailable, ConfigError
from neighborgraph.jit import driver


def choose_device(name: str | None) -> torch.device:
    """The device called ``name``; without a name a GPU that can be used, else the CPU.

    Raises:
        ConfigError: No device is called that.
        BackendUnavailable: It is a GPU that is not there.
    """
    if name is None:
        return torch.device("cuda" if driver().available and kernels_can_be_built() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise ConfigError(
            f"unknown device {name!r}{nearest(name, ('cpu', 'cuda'))} (known: cpu, cuda, cuda:N)"
        )
    device = torch.device(name)
    if device.type == "cpu":
        return device
    probe = driver()
    if not probe.available:
        raise BackendUnavailable(f"--device {name}: {probe.reason}; use --device cpu")
    if (device.index or 0) >= torch.cuda.device_count():
        raise BackendUnavailable(
            f"--device {name}: this machine has {torch.cuda.device_count()} GPUs, numbered from 0"
        )
    if not kernels_can_be_built():
        raise BackendUnavailable(
            f"--device {name} needs the package cuda-core: pip install 'neighborgraph[cuda]', or "
            "use --device cpu"
        )
    return device


def kernels_can_be_built() -> bool:
    """Whether cuda.core is installed; it is not imported."""
    try:
        return importlib.util.find_spec("cuda.core") is not None
    except ModuleNotFoundError:
        return False
