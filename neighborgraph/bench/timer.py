"""One timer for both devices: medians of many runs after warm-up, their spread, and peak memory.

On a GPU each run stands between two events, after the whole L2 cache was overwritten: a kernel
that finds its inputs there from the run before is measured too fast. Runs take several sets of
inputs in turn, so that nothing is fast because it met the same addresses just before. On a CPU it
is the wall clock.

Peak memory is what a run holds at most beyond its inputs, results included. On a GPU Torch's
allocator knows it. On a CPU it is read from the kernel's high-water mark of the process, after
freed memory was given back to the system: Torch's own counters would miss the scratch memory of
numba kernels, and so favour them.

Host time is what a call costs the thread that makes it, while a GPU keeps up with it.
"""

import ctypes
import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from neighborgraph.errors import InputError

Run = Callable[[], object]

WARMUPS = 3
RUNS = (5, 100)
"""Fewest and most timed runs."""
FLUSH_L2_SIZES = 4
FLUSHES = 4
"""Passes over the flush buffer: long enough that the host has queued the run when they end."""
HOST_BATCHES = 20
HOST_CALLS = 50
"""Calls of one batch, between two waits for the GPU: few enough for its queue to take them all."""
MIB = 2**20


@dataclass(frozen=True)
class Timing:
    """What `measure` found.

    Attributes:
        median_ms: Median of the runs.
        p20_ms: A fifth of the runs was faster.
        p80_ms: A fifth of the runs was slower.
        runs: How many were timed.
        peak_extra_mb: MiB held at most beyond the inputs; None where it is not known.
    """

    median_ms: float
    p20_ms: float
    p80_ms: float
    runs: int
    peak_extra_mb: float | None

    @staticmethod
    def of(times: Sequence[float], peak_extra_mb: float | None = None) -> "Timing":
        """Median and spread of milliseconds."""
        p20, _, _, p80 = statistics.quantiles(times, n=5, method="inclusive")
        return Timing(statistics.median(times), p20, p80, len(times), peak_extra_mb)


def measure(
    runs: Sequence[Run], inputs: Sequence[Mapping[str, Tensor]], *, seconds: float = 1.0
) -> Timing:
    """Time a function and its memory.

    Args:
        runs: The same function over different sets of inputs, taken in turn; what they return is
            dropped at once.
        inputs: The tensors of each set, by name; they say on which device it runs.
        seconds: About how long to spend on timed runs, within the limits of ``RUNS``.

    Raises:
        InputError: An input is all zeros.
    """
    for tensors in inputs:
        for name, tensor in tensors.items():
            expect_not_zero(name, tensor)
    device = next(iter(inputs[0].values())).device
    on_gpu = device.type == "cuda"
    estimate = warm_up(runs, device, seconds)
    count = min(max(int(seconds / estimate), RUNS[0]), RUNS[1])
    in_turn = [runs[number % len(runs)] for number in range(count)]
    times = times_cuda(in_turn, device) if on_gpu else times_cpu(in_turn)
    peak = peak_extra_cuda(runs[0], device) if on_gpu else peak_extra_cpu(runs[0])
    return Timing.of(times, peak)


def measure_host(run: Run, device: torch.device) -> Timing:
    """Time what one call costs the calling thread; on a CPU that is the whole call."""
    for _ in range(HOST_CALLS):
        run()
    times = []
    for _ in range(HOST_BATCHES):
        wait(device)
        begin = time.perf_counter()
        for _ in range(HOST_CALLS):
            run()
        times.append((time.perf_counter() - begin) * 1e3 / HOST_CALLS)
    wait(device)
    return Timing.of(times)


def wait(device: torch.device) -> None:
    """Until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def expect_not_zero(name: str, tensor: Tensor) -> None:
    """Refuse zeros, on which processors draw less power, clock higher and skip slow cases."""
    if tensor.numel() > 0 and not tensor.any():
        raise InputError(
            f"{name} {list(tensor.shape)} is all zeros, whose times say nothing about real data; "
            "fill it with torch.randn"
        )


def warm_up(runs: Sequence[Run], device: torch.device, seconds: float) -> float:
    """Compile, fill caches and pools; the seconds that the last of the runs took."""
    elapsed, spent = math.inf, 0.0
    for number in range(WARMUPS):
        # The first run may have compiled, so a second is needed however long it took.
        if number > 1 and spent > seconds:
            break
        begin = time.perf_counter()
        runs[number % len(runs)]()
        wait(device)
        elapsed = time.perf_counter() - begin
        spent += elapsed
    return max(elapsed, 1e-6)


def times_cpu(runs: Sequence[Run]) -> list[float]:
    """Milliseconds of each run on the wall clock."""
    times = []
    for run in runs:
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def times_cuda(runs: Sequence[Run], device: torch.device) -> list[float]:
    """Milliseconds of each run between two events, from a cold L2 cache."""
    l2_bytes = torch.cuda.get_device_properties(device).L2_cache_size
    flush = torch.empty(FLUSH_L2_SIZES * l2_bytes, dtype=torch.uint8, device=device)
    spans = []
    with torch.cuda.device(device):
        for run in runs:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            for value in range(FLUSHES):
                flush.fill_(value)
            begin.record()
            run()
            end.record()
            spans.append((begin, end))
        torch.cuda.synchronize()
    return [begin.elapsed_time(end) for begin, end in spans]


def peak_extra_cuda(run: Run, device: torch.device) -> float:
    """MiB that Torch's allocator hands out beyond what is held before the run."""
    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    return (torch.cuda.max_memory_allocated(device) - before) / MIB


def peak_extra_cpu(run: Run) -> float | None:
    """MiB by which the process's resident memory rises at most; None where Linux does not say."""
    gc.collect()
    try:
        # Pages that the allocator kept from earlier runs would be used again and not be seen.
        ctypes.CDLL(None).malloc_trim(0)
        # 5 sets the high-water mark back to what is resident now: proc_pid_clear_refs(5).
        Path("/proc/self/clear_refs").write_text("5")
    except (AttributeError, OSError):
        return None
    before = resident_mb("VmRSS")
    run()
    return max(0.0, resident_mb("VmHWM") - before)


def resident_mb(field: str) -> float:
    """MiB of ``VmRSS``, what is resident, or ``VmHWM``, the most that was."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 2**10
    raise KeyError(field)
