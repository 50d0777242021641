"""What GPU there is: the one probe of the driver, and the architecture to compile for."""

import ctypes
from dataclasses import dataclass

import torch

from neighborgraph.errors import BackendUnavailable

ARCHES = ("sm_80", "sm_90a", "sm_100a")
"""Architectures every kernel instance is compiled for by the tests."""

DRIVER_LIBRARY = "libcuda.so.1"
"""NVIDIA's driver, as the system's loader knows it."""

_OLDEST = (8, 0)
_FIRST_SPECIFIC = (9, 0)


@dataclass(frozen=True)
class Driver:
    """Whether kernels can run here.

    Attributes:
        available: A driver answers and shows at least one GPU.
        reason: Why not, as one sentence; empty when available.
        version: CUDA version the driver supports, such as ``"13.0"``; empty when unknown.
    """

    available: bool
    reason: str = ""
    version: str = ""


def driver() -> Driver:
    """Ask torch whether a GPU can be used.

    Nothing may ask cuda.core for a kernel, or print one of its objects, before this said yes:
    without a driver its second such call never returns (cuda-core 1.2.2).
    """
    if torch.version.cuda is None:
        return Driver(False, f"torch {torch.__version__} is built without CUDA")
    if torch.cuda.device_count() == 0:
        return Driver(
            False,
            "torch finds no NVIDIA GPU; see whether nvidia-smi lists one and whether "
            "CUDA_VISIBLE_DEVICES hides it",
        )
    return Driver(True, version=_driver_version())


def arch_of(device: torch.device) -> str:
    """The architecture to compile for on ``device``, such as ``"sm_90a"``.

    From compute capability 9.0 upward the name carries the suffix ``a``: machine code for
    exactly this GPU, with all of its instructions.

    Raises:
        BackendUnavailable: The GPU is older than compute capability 8.0.
    """
    capability = torch.cuda.get_device_capability(device)
    major, minor = capability
    if capability < _OLDEST:
        raise BackendUnavailable(
            f"compute capability 8.0 or newer is needed, this device has {major}.{minor} "
            f"({device}); run on the CPU instead"
        )
    return f"sm_{major}{minor}" + ("a" if capability >= _FIRST_SPECIFIC else "")


def _driver_version() -> str:
    """The CUDA version of the driver library, asked without creating a context."""
    number = ctypes.c_int()
    try:
        failed = ctypes.CDLL(DRIVER_LIBRARY).cuDriverGetVersion(ctypes.byref(number))
    except OSError:
        return ""
    return "" if failed else f"{number.value // 1000}.{number.value % 1000 // 10}"
