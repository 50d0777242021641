"""Kernels on a GPU: loaded once, launched on the stream torch is using."""

import ctypes
import struct
import threading
from functools import cache
from typing import Any

import torch
from torch import Tensor

from neighborgraph.errors import BackendUnavailable, DeviceError, DtypeError, InputError
from neighborgraph.jit.arch import DRIVER_LIBRARY, Driver, arch_of, driver
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

    __slots__ = (
        "_arguments",
        "_function",
        "_handle",
        "_index",
        "_instance",
        "_lock",
        "_parameters",
        "_pointers",
        "_submit",
        "_values",
    )

    def __init__(self, instance: Instance, compiled: Compiled, index: int) -> None:
        core = cuda_core()
        self._instance = instance
        self._index = index
        # cuda.core loads the code here; the function keeps it alive.
        self._function = core.ObjectCode.from_cubin(compiled.cubin).get_kernel(compiled.lowered)
        self._handle = int(self._function.handle)
        sizes = [parameter.size for parameter in self._function.arguments_info]
        for position, size in enumerate(sizes):
            if size != _PARAMETER_BYTES:
                raise InputError(
                    f"parameter {position} of {instance.expression} in {instance.source} has "
                    f"{size} bytes; kernels take pointers, 64-bit integers and doubles only"
                )
        # Written by one thread at a time; the driver copies the values before it returns.
        self._lock = threading.Lock()
        self._parameters = len(sizes)
        self._arguments: struct.Struct | None = None
        self._values = ctypes.create_string_buffer(_PARAMETER_BYTES * max(1, len(sizes)))
        first = ctypes.addressof(self._values)
        places = (first + _PARAMETER_BYTES * position for position in range(len(sizes)))
        self._pointers = (ctypes.c_void_p * len(sizes))(*places)
        self._submit = launch_function()

    def launch(self, grid: int, block: int, *args: Tensor | int | float | None) -> None:
        """Queue the kernel on the current stream of its device.

        Args:
            grid: Number of blocks; nothing is launched when it is 0.
            block: Threads in a block.
            *args: One a parameter: a tensor passes its data pointer, None the null pointer, an
                int a 64-bit integer, a float a double. Whoever launches has seen to it that the
                tensors are on the kernel's device.

        Raises:
            DtypeError: An argument is of another type.
            InputError: The number of arguments is not the kernel's.
            BackendUnavailable: The driver refuses; names its error.
        """
        if grid == 0:
            return
        index = self._index
        if torch._C._cuda_getDevice() == index:
            self._launch_here(grid, block, args)
        else:
            with torch.cuda.device(index):
                self._launch_here(grid, block, args)

    def _launch_here(self, grid: int, block: int, args: tuple[Any, ...]) -> None:
        _bind_thread(self._index)
        try:
            # By type, not isinstance: cheaper, and a bool is neither.
            values = [
                x if type(x) is int or type(x) is float else 0 if x is None else x.data_ptr()
                for x in args
            ]
            layout = self._arguments or self._format(args)
            # The public torch.cuda.current_stream makes a stream object at every call, which costs
            # more than the rest of this function.
            stream = torch._C._cuda_getCurrentRawStream(self._index)
            with self._lock:
                layout.pack_into(self._values, 0, *values)
                # One-dimensional grid and block, no dynamic shared memory.
                failed = self._submit(
                    self._handle, grid, 1, 1, block, 1, 1, 0, stream, self._pointers, None
                )
        except (AttributeError, struct.error) as error:
            raise self._refusal(args) from error
        if failed:
            raise BackendUnavailable(
                f"the driver refused to launch {self._instance.expression} with {grid} blocks of "
                f"{block} threads: CUDA error {failed}; an earlier kernel may have failed, which "
                "CUDA_LAUNCH_BLOCKING=1 shows at its own call"
            )

    def _format(self, args: tuple[Any, ...]) -> struct.Struct:
        """The layout of the parameters, which the first arguments tell."""
        if len(args) != self._parameters:
            raise self._refusal(args)
        codes = ("d" if type(x) is float else "q" for x in args)
        self._arguments = struct.Struct("=" + "".join(codes))
        return self._arguments

    def _refusal(self, args: tuple[Any, ...]) -> Exception:
        """What is wrong with arguments that do not fit."""
        name = self._instance.expression
        if len(args) != self._parameters:
            return InputError(f"{name} takes {self._parameters} arguments, got {len(args)}")
        wrong = next((p for p, x in enumerate(args) if not _is_argument(x)), None)
        if wrong is None:
            types = ", ".join(type(x).__name__ for x in args)
            return DtypeError(f"{name} was launched with other types before than {types}")
        return DtypeError(
            f"argument {wrong} of {name} must be a tensor, None, an int or a float, got "
            f"{type(args[wrong]).__name__}"
        )


def _is_argument(x: object) -> bool:
    return x is None or type(x) is int or type(x) is float or isinstance(x, Tensor)


@cache
def launch_function() -> Any:
    """The driver's cuLaunchKernel.

    Called by itself: cuda.core's launch wraps every argument and the stream in objects, at about
    twice the host time (``docs/design/kernels.md``).
    """
    function = ctypes.CDLL(DRIVER_LIBRARY).cuLaunchKernel
    sizes, pointers = (ctypes.c_uint,) * 7, (ctypes.c_void_p,) * 3
    function.argtypes = (ctypes.c_void_p, *sizes, *pointers)
    return function


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
