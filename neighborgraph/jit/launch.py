"""Kernels on a GPU: loaded once, launched on the stream torch is using."""

import threading
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from neighborgraph.errors import BackendUnavailable, DeviceError, DtypeError, InputError
from neighborgraph.jit.arch import Driver, arch_of, driver
from neighborgraph.jit.cache import compile_cached
from neighborgraph.jit.compile import Compiled, Instance, compiler_version, cuda_core

_PARAMETER_BYTES = 8

_kernels: dict[tuple[Instance, torch.device], "Kernel"] = {}
_thread = threading.local()


def load(instance: Instance, device: torch.device) -> "Kernel":
    """The kernel of ``instance`` on ``device``, compiled and loaded at the first call.

    Args:
        instance: Kernel to load.
        device: CUDA device with an index.

    Raises:
        BackendUnavailable: There is no usable GPU, compiler or source; the message says which.
        DeviceError: ``device`` is not a CUDA device with an index, or this is the first call
            and a CUDA graph is being captured.
    """
    kernel = _kernels.get((instance, device))
    return _load(instance, device) if kernel is None else kernel


class Kernel:
    """A kernel loaded on one device; made by :func:`load`."""

    __slots__ = ("_function", "_index", "_instance", "_parameters", "_submit")

    def __init__(self, instance: Instance, compiled: Compiled, index: int) -> None:
        core = cuda_core()
        self._instance = instance
        self._index = index
        self._submit = core.launch
        # cuda.core loads the code here; the function keeps it alive.
        self._function = core.ObjectCode.from_cubin(compiled.cubin).get_kernel(compiled.lowered)
        sizes = [parameter.size for parameter in self._function.arguments_info]
        self._parameters = len(sizes)
        for position, size in enumerate(sizes):
            if size != _PARAMETER_BYTES:
                raise InputError(
                    f"parameter {position} of {instance.expression} in {instance.source} has "
                    f"{size} bytes; kernels take pointers, 64-bit integers and doubles only"
                )

    def launch(self, grid: int, block: int, *args: Tensor | int | float | None) -> None:
        """Queue the kernel on the current stream of its device.

        Args:
            grid: Number of blocks; nothing is launched when it is 0.
            block: Threads in a block.
            *args: One a parameter: a tensor passes its data pointer, None the null pointer, an
                int a 64-bit integer, a float a double.

        Raises:
            DeviceError: A tensor is on another device than the kernel.
            DtypeError: An argument is of another type.
            InputError: The number of arguments is not the kernel's.
        """
        if grid == 0:
            return
        packed = self._pack(args)
        index = self._index
        if torch.cuda.current_device() == index:
            self._launch_here(grid, block, packed)
        else:
            with torch.cuda.device(index):
                self._launch_here(grid, block, packed)

    def _launch_here(self, grid: int, block: int, packed: list[int | float]) -> None:
        _bind_thread(self._index)
        # The public torch.cuda.current_stream makes a stream object at every call, which costs
        # more than the rest of this function.
        handle = torch._C._cuda_getCurrentRawStream(self._index)
        self._submit(_stream(self._index, handle), _config(grid, block), self._function, *packed)

    def _pack(self, args: tuple[Tensor | int | float | None, ...]) -> list[int | float]:
        if len(args) != self._parameters:
            raise InputError(
                f"{self._instance.expression} takes {self._parameters} arguments, got {len(args)}"
            )
        packed: list[int | float] = []
        index = self._index
        for position, arg in enumerate(args):
            # By type, not isinstance: cheaper for the usual ones, and cuda.core passes a bool as
            # one byte.
            if arg is None:
                packed.append(0)
            elif type(arg) is int or type(arg) is float:
                packed.append(arg)
            elif isinstance(arg, Tensor):
                if arg.get_device() != index:
                    raise DeviceError(
                        f"argument {position} of {self._instance.expression} is on {arg.device}, "
                        f"the kernel is on cuda:{index}"
                    )
                packed.append(arg.data_ptr())
            else:
                raise DtypeError(
                    f"argument {position} of {self._instance.expression} must be a tensor, None, "
                    f"an int or a float, got {type(arg).__name__}"
                )
        return packed


def _load(instance: Instance, device: torch.device) -> Kernel:
    """Compile and load; threads that race here keep the first one's kernel."""
    if device.type != "cuda" or device.index is None:
        raise DeviceError(f"device must be a CUDA device with an index, got {device}")
    probe = driver()
    if not probe.available:
        raise BackendUnavailable(f"{instance.expression} needs a GPU: {probe.reason}")
    with torch.cuda.device(device):
        if torch.cuda.is_current_stream_capturing():
            raise DeviceError(
                f"{instance.expression} is used for the first time while a CUDA graph is being "
                "captured, when no kernel can be loaded; call it once before capture"
            )
        arch = arch_of(device)
        compiled = compile_cached(instance, arch)
        _bind_thread(device.index)
        try:
            kernel = Kernel(instance, compiled, device.index)
        except InputError:
            raise
        except Exception as error:  # cuda.core's own error classes are private
            raise BackendUnavailable(_refusal(instance, arch, probe, error)) from error
    return _kernels.setdefault((instance, device), kernel)


def _refusal(instance: Instance, arch: str, probe: Driver, error: Exception) -> str:
    return (
        f"the driver, which supports CUDA {probe.version or '(unknown)'}, did not load "
        f"{instance.expression} compiled for {arch} by NVRTC {compiler_version()}: {error}; "
        "the driver must be at least as new as the major version of NVRTC"
    )


def _bind_thread(index: int) -> None:
    """Give this thread a CUDA context, which a new thread lacks until its first runtime call.

    ``index`` must be torch's current device, so that the thread's device does not change.
    """
    if not getattr(_thread, "bound", False):
        cuda_core().Device(index).set_current()
        _thread.bound = True


@lru_cache(maxsize=256)
def _stream(index: int, handle: int) -> Any:
    """cuda.core's wrapper of a stream; the null handle is another stream on every device."""
    return cuda_core().Stream.from_handle(handle)


@lru_cache(maxsize=1024)
def _config(grid: int, block: int) -> Any:
    return cuda_core().LaunchConfig(grid=grid, block=block)
