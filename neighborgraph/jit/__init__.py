"""Kernels compiled when first used: CUDA C++ by NVRTC, CPU loops by numba.

Importing this package imports neither compiler and touches no GPU. CPU kernels are written with
``neighborgraph.jit.numba_kernel``, which is imported only where numba is wanted.
"""

from neighborgraph.jit.arch import ARCHES, Driver, arch_of, driver
from neighborgraph.jit.compile import Compiled, Instance, compile_instances
from neighborgraph.jit.launch import Kernel, load

__all__ = [
    "ARCHES",
    "Compiled",
    "Driver",
    "Instance",
    "Kernel",
    "arch_of",
    "compile_instances",
    "driver",
    "load",
]
