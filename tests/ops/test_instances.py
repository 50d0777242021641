"""Kernel instances compile without a GPU: all of aggregate, and a cover of those of attend.

The cover has every plan of the plain dot product, and every score with every set of edge inputs.
"""

import re
from collections import defaultdict
from functools import cache
from itertools import product

import pytest
import torch
from torch import Tensor

from neighborgraph.graph import Graph
from neighborgraph.jit import ARCHES, Instance
from neighborgraph.jit.compile import compile_instances
from neighborgraph.jit.source import read_source
from neighborgraph.ops import items
from neighborgraph.ops.aggregate import cuda as aggregate
from neighborgraph.ops.attend import cuda as attend
from neighborgraph.ops.compress import cuda as compress
from neighborgraph.ops.lanes import CUDA_NAMES, head_plans
from neighborgraph.ops.registration import accumulation_dtype
from neighborgraph.testing import from_degrees

WIDTHS = [1, 2, 3, 4, 6, 7, 8, 16, 31, 32, 33, 48, 64, 96, 100, 127, 128, 200, 256, 512]
HEADS = [1, 2, 3, 4, 7, 8, 16, 64, 1024]
PLAIN = None, None, None, None, 1.0, 0.0, False
"""Settings of a dot product without edge inputs."""
"""No gradients but those of features."""


@cache
def instances() -> dict[tuple[str, str], tuple[str, ...]]:
    """Expressions by source file and element type."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    everything = [*attend.instances(), *aggregate.instances(), *compress.instances()]
    for dtype in CUDA_NAMES:
        for plan in head_plans(dtype):
            everything.append(Instance("gather_floor.cu", f"gather_floor<{plan.template(dtype)}>"))
    for instance in everything:
        arguments = instance.expression.partition("<")[2].removeprefix("Lanes<")
        found[instance.source, re.split("[,>]", arguments)[0]].add(instance.expression)
    return {key: tuple(sorted(expressions)) for key, expressions in found.items()}


def test_every_file_and_type_has_instances() -> None:
    files = {source for source, _ in instances()}
    assert files == {
        "attend_forward.cu",
        "attend_backward.cu",
        "aggregate.cu",
        "combine.cu",
        "gather_floor.cu",
        "compress.cu",
    }
    by_type = (len(files) - 1) * len(CUDA_NAMES)
    assert len(instances()) == by_type + len(["int", "long long", "none"])


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("source", "name"), instances(), ids=lambda part: part.partition(".")[0])
def test_compiles_without_a_warning(nvrtc: None, source: str, name: str, arch: str) -> None:
    expressions = instances()[source, name]
    compiled = compile_instances(source, expressions, arch)
    assert set(compiled) == set(expressions)
    for code in compiled.values():
        assert code.cubin
        assert code.lowered
        assert not code.log


class Kernel:
    """Stands in for a loaded kernel and holds each launch to the kernel's declaration."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def launch(self, grid: int, block: int, *args) -> None:
        assert grid > 0
        name = self.instance.expression.partition("<")[0]
        declared = parameters(self.instance.source, name)
        assert len(args) == len(declared), name
        for parameter, arg in zip(declared, args, strict=True):
            expect_argument(f"{name}: {parameter}", parameter, arg)


def expect_argument(where: str, parameter: str, arg: Tensor | int | float | None) -> None:
    """The kind of an argument, and of a tensor its element type where that is no template's."""
    if "*" not in parameter:
        assert type(arg) is (float if parameter.startswith("double") else int), where
        return
    assert arg is None or (isinstance(arg, Tensor) and arg.is_contiguous()), where
    element = parameter.removeprefix("const ").partition("*")[0].strip()
    if arg is not None and element in ("int", "long long"):
        assert arg.dtype == (torch.int32 if element == "int" else torch.int64), where


@cache
def parameters(source: str, kernel: str) -> list[str]:
    """The declared parameters of a kernel, such as ``const int* idx``."""
    text = re.sub("//[^\n]*", "", read_source(source).text)
    found = re.search(rf"\b{kernel}\s*\(([^()]*)\)\s*{{", text)
    assert found, f"{kernel} is not declared in {source}"
    return [" ".join(parameter.split()) for parameter in found[1].split(",")]


@pytest.fixture
def asked(monkeypatch) -> set[Instance]:
    """The instances that launches ask for; nothing runs."""
    found: set[Instance] = set()

    def load(instance: Instance, device: torch.device) -> Kernel:
        found.add(instance)
        return Kernel(instance)

    monkeypatch.setattr(items, "load", load)
    monkeypatch.setattr(compress, "load", load)
    return found


def assert_listed(asked: set[Instance], listed: list[Instance]) -> None:
    assert asked
    assert asked <= set(listed), f"not listed: {sorted(map(str, asked - set(listed)))[:5]}"


@pytest.fixture(scope="module")
def graph() -> Graph:
    """With cut rows and columns, so that every kernel is launched."""
    return from_degrees([3, 0, 1300], 2, seed=0)


@pytest.mark.parametrize("dtype", CUDA_NAMES, ids=str)
def test_attend_asks_only_for_what_is_listed(asked, graph: Graph, dtype: torch.dtype) -> None:
    rows, cols = list(graph.rows), list(graph.cols or ())
    for width in WIDTHS:
        for heads in HEADS if width <= 16 else HEADS[:4]:
            q, k = (torch.zeros(n, heads, width, dtype=dtype) for n in (3, 2))
            out, lse, state = attend.attend(rows, q, k, k, *PLAIN)
            saved, wanted = (out, state, q, lse), (True,) * 3 + (False,) * 3
            attend.attend_backward(rows, cols, q, k, k, *saved, wanted, *PLAIN)
    assert_listed(asked, list(attend.instances()))


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("present", list(product([False, True], repeat=4)), ids=str)
def test_attend_asks_only_for_what_is_listed_with_edge_inputs(
    asked, additive: bool, present: tuple[bool, ...]
) -> None:
    turn = list(product([False, True], repeat=5)).index((additive, *present))
    dtype = list(CUDA_NAMES)[turn % len(CUDA_NAMES)]
    heads, width = 4, 8 * 16 // dtype.itemsize
    graph = from_degrees([3, 0, 1300], 3, seed=0)
    rows, cols = list(graph.rows), list(graph.cols or ())
    loops, bias, vectors, dropout = present
    edges = 1303 + 3 * loops
    wide = accumulation_dtype(dtype)
    settings = (
        torch.ones(heads, width, dtype=wide) if additive else None,
        torch.zeros(edges, heads, dtype=wide) if bias else None,
        torch.zeros(edges, heads, width, dtype=dtype) if vectors else None,
        torch.zeros(1, dtype=torch.int64) if dropout else None,
        *(0.5, 0.25 * dropout, loops),
    )
    q = torch.zeros(3, heads, width, dtype=dtype)
    out, lse, state = attend.attend(rows, q, q, q, *settings)
    attend.attend_weights(rows, q, q, state, *settings)
    wanted = True, True, True, additive, bias, vectors
    attend.attend_backward(rows, cols, q, q, q, out, state, q, lse, wanted, *settings)
    assert_listed(asked, list(attend.instances()))


@pytest.mark.parametrize("dtype", CUDA_NAMES, ids=str)
def test_aggregate_asks_only_for_what_is_listed(asked, graph: Graph, dtype: torch.dtype) -> None:
    rows, cols = list(graph.rows), list(graph.cols or ())
    for width in [*WIDTHS, 600, 1000, 4096]:
        x, grad = (torch.zeros(n, width, dtype=dtype) for n in (2, 3))
        aggregate.aggregate_sum(rows, x, None, None, None, None, None, 1.0)
        aggregate.aggregate_sum(rows, x, None, None, None, None, grad, 0.5)
        _, winner = aggregate.aggregate_max(rows, x, None, None, None, None, 1.0)
        aggregate.aggregate_sum(cols, grad, None, None, None, winner, None, 1.0)
        for heads in (h for h in (1, 2, 4) if width % h == 0):
            weight = torch.ones(1303, heads, dtype=accumulation_dtype(dtype))
            aggregate.aggregate_sum(rows, x, weight, None, None, None, None, 1.0)
            aggregate.aggregate_max(rows, x, weight, None, None, None, 1.0)
            aggregate.aggregate_weight_grad(rows, grad, x, None, None, None, heads)
            aggregate.aggregate_weight_grad(rows, grad, x, None, None, winner, heads)
    assert_listed(asked, list(aggregate.instances()))


@pytest.mark.parametrize("dtype", compress.INDEX_NAMES, ids=str)
@pytest.mark.parametrize("transpose", [False, True])
def test_compress_asks_only_for_what_is_listed(
    asked, monkeypatch, graph: Graph, dtype: torch.dtype, transpose: bool
) -> None:
    monkeypatch.setattr(torch, "_assert_async", lambda *_: None)
    monkeypatch.setattr(Tensor, "cumsum", lambda cuts, _: torch.zeros_like(cuts))
    compress.compress(graph.edge_index.to(dtype), 3, 2, transpose, False)
    assert_listed(asked, list(compress.instances()))
