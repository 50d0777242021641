"""The timer: what it measures, and what it refuses."""

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from neighborgraph.bench import timer
from neighborgraph.bench.timer import Timing, measure, measure_host
from neighborgraph.errors import InputError

INPUTS = [{"x": torch.ones(3)}]
MIB_FLOATS = 2**18


def test_sleep_is_timed() -> None:
    timing = measure([lambda: time.sleep(0.01)], INPUTS, seconds=0.01)
    assert timing.runs == timer.RUNS[0]
    assert 10 <= timing.p20_ms <= timing.median_ms <= timing.p80_ms
    assert timing.median_ms < 200


def test_spread_comes_from_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer, "times_cpu", lambda runs: [5.0, 1.0, 2.0, 3.0, 4.0, 100.0])
    timing = measure([lambda: None], INPUTS, seconds=0)
    assert (timing.p20_ms, timing.median_ms, timing.p80_ms) == (2.0, 3.5, 5.0)


def test_quick_functions_run_often() -> None:
    assert measure([lambda: None], INPUTS).runs == timer.RUNS[1]


def test_first_run_is_not_timed() -> None:
    calls = []

    def slow_at_first() -> None:
        calls.append(None)
        if len(calls) == 1:
            time.sleep(0.2)

    assert measure([slow_at_first], INPUTS, seconds=0.01).p80_ms < 100


def test_sets_of_inputs_are_taken_in_turn() -> None:
    taken = []
    runs = [lambda name=name: taken.append(name) for name in "abc"]
    timing = measure(runs, INPUTS * 3, seconds=0)
    assert taken[-timing.runs - 1 : -1] == list("abcab")


def test_host_time_is_that_of_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer, "HOST_CALLS", 3)
    monkeypatch.setattr(timer, "HOST_BATCHES", 4)
    calls = []

    def run() -> None:
        calls.append(None)
        time.sleep(0.005)

    timing = measure_host(run, torch.device("cpu"))
    assert 5 <= timing.p20_ms <= timing.median_ms < 100
    assert (len(calls), timing.runs, timing.peak_extra_mb) == (3 * (1 + 4), 4, None)


def test_zeros_are_refused() -> None:
    with pytest.raises(InputError, match=r"^v \[2, 3\] is all zeros.*torch\.randn"):
        measure([lambda: None], [*INPUTS, {"q": torch.ones(2, 3), "v": torch.zeros(2, 3)}])


def test_empty_inputs_are_not_zeros() -> None:
    assert isinstance(measure([lambda: None], [{"x": torch.empty(0)}]), Timing)


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.ones(64 * MIB_FLOATS),
        # Not through Torch's allocator, as the scratch memory of a numba kernel.
        lambda: np.ones(64 * MIB_FLOATS, dtype=np.float32),
    ],
    ids=["torch", "numpy"],
)
def test_cpu_memory_of_every_allocator_is_seen(allocate: Callable[[], object]) -> None:
    allocate()
    peak = timer.peak_extra_cpu(allocate)
    if peak is None:
        pytest.skip("this system does not reset the high-water mark of a process")
    assert 60 <= peak < 80


def test_cpu_memory_freed_within_the_run_counts() -> None:
    def two_after_each_other() -> torch.Tensor:
        first = torch.ones(64 * MIB_FLOATS)
        del first
        return torch.ones(16 * MIB_FLOATS)

    peak = timer.peak_extra_cpu(two_after_each_other)
    if peak is None:
        pytest.skip("this system does not reset the high-water mark of a process")
    # An allocator may keep the first beside the second.
    assert 60 <= peak < 96


def test_cpu_memory_is_unknown_without_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(timer.Path, "write_text", refuse)
    assert timer.peak_extra_cpu(lambda: None) is None


@pytest.mark.cuda
def test_cuda_times_and_memory() -> None:
    x = torch.randn(64 * MIB_FLOATS, device="cuda")
    timing = measure([lambda: x + 1], [{"x": x}], seconds=0.05)
    # 128 MiB move at 1 to 10 TB/s on the GPUs supported.
    assert 0.01 < timing.p20_ms <= timing.median_ms <= timing.p80_ms < 1
    assert timing.peak_extra_mb == 64


@pytest.mark.cuda
def test_host_time_does_not_wait_for_the_gpu() -> None:
    x = torch.randn(64 * MIB_FLOATS, device="cuda")
    timing = measure_host(lambda: x + 1, torch.device("cuda"))
    # The sum takes 0.03 ms at least; queueing it takes less.
    assert 0 < timing.median_ms < 0.05
