"""What peers share: the libraries, what is installed, and when two answers agree."""

import functools
import math
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from neighborgraph.bench import peers
from neighborgraph.bench.peers import TOLERANCES, gather_floor, installed, largest_difference
from neighborgraph.errors import BackendUnavailable
from neighborgraph.graph import Graph
from neighborgraph.testing import from_pairs


def test_difference() -> None:
    ours = [torch.tensor([3.0, 4.0]), torch.tensor([1.0])]
    assert largest_difference(ours, ours) == 0
    assert largest_difference([torch.tensor([3.0, 4.5]), ours[1]], ours) == pytest.approx(0.1)
    assert math.isnan(largest_difference([torch.tensor([3.0, math.nan]), ours[1]], ours))


def test_every_case_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compilations = []

    def backend(module: torch.fx.GraphModule, inputs: list[torch.Tensor]):
        compilations.append(inputs[0].shape)
        return module.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    # More cases than Torch compiles one code object for.
    for size in range(2, 14):
        function = peers.compiled(lambda x: x * 2)
        assert torch.equal(function(x=torch.ones(size)), torch.full((size,), 2.0))
    assert compilations == [(size,) for size in range(2, 14)]


def test_compiled_scatter_in_16_bits_is_not_run_where_it_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "MOST_EDGES_IN_16_BITS", 2)
    graph = from_pairs([(0, 0), (1, 0), (0, 1)], 2, 2)
    prepare = peers.composed_peers(lambda graph, dtype, segments: torch.add)["compiled"]
    with pytest.raises(BackendUnavailable, match="its scatter takes minutes on 3 edges"):
        prepare(graph, torch.float16)
    assert callable(prepare(graph, torch.float32))


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    yield


@pytest.mark.parametrize(
    ("segments", "package"),
    [(peers.pyg_segments, "torch-geometric"), (peers.scatter_segments, "torch-scatter")],
)
def test_missing_package_is_named(segments, package: str, nothing_installed: None) -> None:
    with pytest.raises(BackendUnavailable, match=f"{package} is not.* pip install {package} to"):
        segments()


def test_installed(nothing_installed: None) -> None:
    assert installed(peers.TITLES) == ["sparse", "sparse-kept", "floor"]


def test_import_is_lean() -> None:
    heavy = "{'torch_geometric', 'torch_scatter', 'matplotlib'}"
    code = f"import neighborgraph.cli.bench, sys; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.cuda
@pytest.mark.parametrize(("heads", "width"), [(1, 128), (4, 32), (3, 10)])
def test_floor_reads_both_rows_of_every_edge(heads: int, width: int) -> None:
    edge_index = torch.stack([torch.randint(40, (300,)), torch.randint(25, (300,))])
    graph = Graph.from_edge_index(edge_index.cuda(), (40, 30))
    k, v = (torch.randn(40, heads, width, device="cuda").half() for _ in range(2))
    source, receiver = graph.edge_index
    for second in (v, k):
        expected = torch.zeros(30, heads, width, device="cuda", dtype=torch.float64)
        expected.index_add_(0, receiver, k[source].double() * second[source].double())
        out = gather_floor(graph, k, second)
        assert largest_difference([out], [expected]) < TOLERANCES[torch.float16]
