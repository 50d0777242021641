"""The kernel of topk compiles without a GPU, and is launched with what it declares."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.jit import ARCHES, Instance
from neighborgraph.jit.compile import compile_instances
from neighborgraph.jit.source import read_source
from neighborgraph.ops.topk import cuda

SOURCE = read_source("topk.cu").text


@pytest.mark.parametrize("arch", ARCHES)
def test_compiles_without_a_warning(nvrtc, arch: str) -> None:
    expressions = [instance.expression for instance in cuda.instances()]
    for code in compile_instances("topk.cu", expressions, arch).values():
        assert code.cubin
        assert not code.log


def test_launch_plan_and_kernel_agree_on_sizes() -> None:
    sizes = re.search(r"BLOCK = (\d+), UNROLL = (\d+), TILE = BLOCK \* UNROLL", SOURCE)
    assert sizes
    block, unroll = map(int, sizes.groups())
    assert (cuda.BLOCK, cuda.TILE) == (block, block * unroll)


class Kernel:
    """Stands in for the kernel, notes its launches and holds each to the declaration."""

    def __init__(self) -> None:
        text = re.sub("//[^\n]*", "", SOURCE)
        found = re.search(r"\btopk_select\s*\(([^()]*)\)\s*{", text)
        assert found
        self.declared = [" ".join(parameter.split()) for parameter in found[1].split(",")]
        self.launches: list[tuple[int, dict[str, Any]]] = []

    def launch(self, grid: int, block: int, *args: Tensor | int | None) -> None:
        named: dict[str, Any] = {}
        for parameter, arg in zip(self.declared, args, strict=True):
            named[re.split(r"[ *]", parameter)[-1]] = arg
            if "*" not in parameter:
                assert type(arg) is int, parameter
            elif arg is not None:
                assert isinstance(arg, Tensor)
                assert arg.is_contiguous(), parameter
                dtypes = {"int*": torch.int32, "long long*": torch.int64, "float*": torch.float32}
                kind = parameter.removeprefix("const ").rpartition(" ")[0]
                assert arg.dtype == dtypes.get(kind, arg.dtype), parameter
        assert block == cuda.BLOCK
        self.launches.append((grid, named))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel, listed = Kernel(), list(cuda.instances())

    def load(instance: Instance, device: torch.device) -> Kernel:
        assert instance in listed
        return kernel

    monkeypatch.setattr(cuda, "load", load)
    monkeypatch.setattr(torch, "_assert_async", lambda *_: None)
    return kernel


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, None])
def test_every_user_and_place_is_launched_once(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype | None
) -> None:
    monkeypatch.setattr(cuda, "SCORES", 3 * 64)
    seen = None, None
    if dtype is not None:
        seen = torch.arange(11), torch.zeros(10, dtype=dtype)
    scores, ids = cuda.topk(torch.ones(10, 2), torch.ones(40, 2), 2500, *seen)
    places = torch.zeros(10, 2500, dtype=torch.int64)
    for grid, args in kernel.launches:
        assert (args["stride"], args["items"], args["k"]) == (64, 40, 2500)
        assert args["nnz"] == (0 if dtype is None else 10)
        begin = (args["best"].data_ptr() - scores.data_ptr()) // (4 * 2500)
        assert args["item"].data_ptr() - ids.data_ptr() == 8 * 2500 * begin
        if dtype is not None:
            assert args["rowptr"][0] == begin
        assert 0 < args["last"] - args["first"] <= cuda.TILE
        assert args["score"].numel() >= grid * args["stride"]
        places[begin : begin + grid, args["first"] : args["last"]] += 1
    assert (places == 1).all()


def test_no_users_and_no_items(kernel: Kernel) -> None:
    scores, _ = cuda.topk(torch.ones(0, 2), torch.ones(5, 2), 3, None, None)
    assert scores.shape == (0, 3)
    assert kernel.launches == []
    cuda.topk(torch.ones(2, 2), torch.ones(0, 2), 3, None, None)
    assert [(grid, args["items"]) for grid, args in kernel.launches] == [(2, 0)]
