"""The kernels of neighbor_cache compile without a GPU, and are launched with what they declare."""

import re
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from neighborgraph.jit import ARCHES, Instance
from neighborgraph.jit.compile import compile_instances
from neighborgraph.jit.source import read_source
from neighborgraph.ops import Hashed, NeighborTable, Recent
from neighborgraph.ops.neighbor_cache import cuda
from neighborgraph.ops.neighbor_cache.op import MAX_JOINED

SOURCE = read_source("neighbor_cache.cu").text
ELEMENTS = {"int": torch.int32, "Integer": torch.int64, "unsigned short": None}
"""Element types of pointers; features are bytes of any type."""


@pytest.mark.parametrize("arch", ARCHES)
def test_compiles_without_a_warning(nvrtc, arch: str) -> None:
    expressions = [instance.expression for instance in cuda.instances()]
    for code in compile_instances("neighbor_cache.cu", expressions, arch).values():
        assert code.cubin
        assert not code.log


def test_launch_plan_and_kernel_agree_on_sizes() -> None:
    assert f"MAX_JOINED = {MAX_JOINED};" in SOURCE
    assert MAX_JOINED * (8 + 2) <= 48 * 2**10  # shared memory of a block


class Kernel:
    """Stands in for a kernel and holds its launches to the declaration."""

    launched: list[str]

    def __init__(self, instance: Instance) -> None:
        self.name, _, argument = instance.expression.partition("<")
        self.time = {"long long>": torch.int64, "double>": torch.float64, "": None}[argument]
        found = re.search(rf"\b{self.name}\s*\(([^()]*)\)\s*{{", re.sub("//[^\n]*", "", SOURCE))
        assert found
        self.declared = [" ".join(parameter.split()) for parameter in found[1].split(",")]

    def launch(self, grid: int, block: int, *args: Tensor | int | None) -> None:
        assert grid > 0
        for parameter, arg in zip(self.declared, args, strict=True):
            where = f"{self.name}: {parameter}"
            if "*" not in parameter:
                assert type(arg) is int, where
            elif arg is not None:
                assert isinstance(arg, Tensor), where
                assert arg.is_contiguous(), where
                kind = parameter.removeprefix("const ").partition("*")[0].strip()
                wanted = self.time if kind == "Time" else ELEMENTS[kind]
                assert arg.dtype == wanted or wanted is None, where
                assert arg.element_size() % 2 == 0
        Kernel.launched.append(self.name.removeprefix("neighbor_cache_"))


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is launched in the place of the CPU's code; nothing runs."""
    listed = list(cuda.instances())
    Kernel.launched = []

    def load(instance: Instance, device: torch.device) -> Kernel:
        assert instance in listed
        return Kernel(instance)

    monkeypatch.setattr(cuda, "load", load)
    monkeypatch.setattr(torch, "_assert_async", lambda *_: None)
    return Kernel.launched


@pytest.mark.parametrize("dtype", cuda.TIME_NAMES, ids=str)
@pytest.mark.parametrize("policy", [Recent(3), Hashed(3, 0.5)], ids=str)
@pytest.mark.parametrize("channels", [0, 3])
def test_launches_are_as_declared(launched, dtype, policy, channels: int) -> None:
    table = NeighborTable.empty(5, policy, time_dtype=dtype, channels=channels)
    table.last_time.fill_(0)
    slots, last = (table.neighbor, table.time, table.event), (table.last_time, table.last_event)
    wide = torch.arange(8).view(4, 2)[:, 0] // 2  # not contiguous
    vector = torch.ones(channels, 4).T if channels else None
    lines = wide, wide, wide.to(dtype), wide, vector, True
    if isinstance(policy, Recent):
        cuda.neighbor_cache_recent(*slots, table.count, table.feature, *last, *lines)
        assert launched == ["keys", "recent", "count"]
    else:
        cuda.neighbor_cache_hashed(*slots, table.feature, *last, *lines, 2**31, -5)
        assert launched == ["keys", "hashed"]
    launched.clear()
    for until in (None, wide.to(dtype)):
        found = cuda.neighbor_cache_lookup(*slots, table.count, last[0], wide, until, False)
        assert [t.shape for t in found] == [(4, 3)] * 4
    cuda.neighbor_cache_join(torch.ones(9, 4).long().T, torch.arange(9))
    assert launched == ["lookup", "lookup", "join"]


def test_nothing_is_launched_for_nothing(launched) -> None:
    none = torch.arange(0)
    for policy in (Recent(3), Hashed(3)):
        table = NeighborTable.empty(5, policy)
        slots, last = (table.neighbor, table.time, table.event), (table.last_time, table.last_event)
        lines = none, none, none, none, None, True
        if isinstance(policy, Recent):
            cuda.neighbor_cache_recent(*slots, table.count, None, *last, *lines)
        else:
            cuda.neighbor_cache_hashed(*slots, None, *last, *lines, 0, 0)
        cuda.neighbor_cache_lookup(*slots, table.count, last[0], none, None, False)
    cuda.neighbor_cache_join(torch.ones(0, 4).long(), torch.arange(4))
    assert launched == []


@pytest.mark.cuda
@pytest.mark.parametrize("fault", ["node", "order", "query", "past"])
def test_the_gpu_stops_with_an_assertion(fault: str) -> None:
    """In a process of its own, whose context is lost."""
    code = f"""
import torch
from neighborgraph.ops import NeighborTable, Recent, insert_events, lookup_neighbors
one = torch.ones(1, dtype=torch.int64, device="cuda")
table = NeighborTable.empty(5, Recent(3), device="cuda")
insert_events(table, one, one, one, one)
fault = {fault!r}
if fault == "node":
    insert_events(table, one * 9, one, one * 2, one * 2)
elif fault == "order":
    insert_events(table, one, one, one * 0, one * 2)
elif fault == "query":
    lookup_neighbors(table, one * -1)
else:
    lookup_neighbors(table, one, one * 0)
torch.cuda.synchronize()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "device-side assert" in done.stderr
