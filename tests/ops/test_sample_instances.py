"""The kernels of sample compile without a GPU, and are launched with what they declare."""

import re

import pytest
import torch
from torch import Tensor

from neighborgraph.jit import ARCHES, Instance
from neighborgraph.jit.compile import compile_instances
from neighborgraph.jit.source import read_source
from neighborgraph.ops.sample import cuda

LISTED = list(cuda.instances())
PRODUCED = {"sample_candidates": 6, "relabel_first": 2}
"""Kernels that the sizes of later launches depend on, and the argument that they fill."""


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("source", sorted({instance.source for instance in LISTED}))
def test_compiles_without_a_warning(nvrtc, source: str, arch: str) -> None:
    expressions = [instance.expression for instance in LISTED if instance.source == source]
    for code in compile_instances(source, expressions, arch).values():
        assert code.cubin
        assert not code.log


class Kernel:
    """Stands in for a kernel and holds each launch to the kernel's declaration."""

    def __init__(self, instance: Instance) -> None:
        self.name = instance.expression.partition("<")[0]
        text = re.sub("//[^\n]*", "", read_source(instance.source).text)
        found = re.search(rf"\b{self.name}\s*\(([^()]*)\)\s*{{", text)
        assert found, self.name
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
                narrow = parameter.removeprefix("const ").startswith("int*")
                assert arg.dtype == (torch.int32 if narrow else torch.int64), where
        if self.name in PRODUCED:
            filled = args[PRODUCED[self.name]]
            assert isinstance(filled, Tensor)
            filled.fill_(1)


def test_asks_only_for_what_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set()

    def load(instance: Instance, device: torch.device) -> Kernel:
        asked.add(instance)
        return Kernel(instance)

    monkeypatch.setattr(cuda, "load", load)
    csr = [torch.tensor([0, 2, 3]), *(torch.zeros(3, dtype=torch.int32) for _ in range(2))]
    row, many = torch.arange(2), torch.zeros(4, dtype=torch.int64)
    for count in (-1, 0, 1, 2, 3, 5, 9, 17, 33, 1000):
        flags = count, True, False, True, -5, [1, 2**32 - 1]
        cuda.sample_rows(csr, row, row, None, None, None, *flags)
        cuda.sample_rows(csr, row, row, many[:3], row, many, *flags)
        if count >= 0:
            cuda.sample_two_hops([*csr[:2], many], row, row, count, *flags[-2:])
    cuda.sample_relabel(row, many)
    cuda.sample_relabel(row, many[:0])
    assert asked == set(LISTED)
