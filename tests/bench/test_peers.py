"""Every peer computes what we compute, forward and backward."""

import math
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from neighborgraph.bench import peers
from neighborgraph.bench.peers import OURS, PEERS, TOLERANCES, largest_difference
from neighborgraph.errors import BackendUnavailable
from neighborgraph.graph import Graph

PAIRS = [(op, name) for op in PEERS for name in PEERS[op]]


@pytest.fixture
def graph() -> Graph:
    """Rows of 0 to many edges, duplicates, and more sources than receivers."""
    edge_index = torch.stack([torch.randint(40, (300,)), torch.randint(25, (300,))])
    return Graph.from_edge_index(edge_index, (40, 30))


def inputs(op: str, graph: Graph, dtype: torch.dtype) -> list[torch.Tensor]:
    sizes = [graph.num_rows] * (op == "attend") + [graph.num_cols] * (2 if op == "attend" else 1)
    return [torch.randn(size, 2, 8).to(dtype).requires_grad_() for size in sizes]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("op", "name"), PAIRS)
def test_peers_agree(op: str, name: str, dtype: torch.dtype, graph: Graph) -> None:
    features = inputs(op, graph, dtype)
    answers = []
    for provider in (PEERS[op][name], OURS[op]):
        out = provider(graph, dtype)(*features)
        answers.append([out, *torch.autograd.grad(out.square().sum(), features)])
    assert largest_difference(*answers) < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pyg_agrees_in_16_bits(dtype: torch.dtype, graph: Graph) -> None:
    features = inputs("attend", graph, dtype)
    pyg, ours = (p(graph, dtype)(*features) for p in (peers.attend_pyg, peers.attend_ours))
    assert largest_difference([pyg], [ours]) < TOLERANCES[dtype]


def test_difference() -> None:
    ours = [torch.tensor([3.0, 4.0]), torch.tensor([1.0])]
    assert largest_difference(ours, ours) == 0
    assert largest_difference([torch.tensor([3.0, 4.5]), ours[1]], ours) == pytest.approx(0.1)
    assert math.isnan(largest_difference([torch.tensor([3.0, math.nan]), ours[1]], ours))


@pytest.fixture
def without_pyg(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = peers.importlib.util.find_spec
    hidden = lambda name: None if name == "torch_geometric" else real(name)  # noqa: E731
    monkeypatch.setattr(peers.importlib.util, "find_spec", hidden)
    yield


@pytest.mark.parametrize("peer", [peers.attend_pyg, peers.aggregate_pyg])
def test_missing_pyg_is_named(peer: peers.Peer, without_pyg: None, graph: Graph) -> None:
    with pytest.raises(BackendUnavailable, match="pip install torch-geometric"):
        peer(graph, torch.float32)


def test_import_is_lean() -> None:
    code = "import neighborgraph.bench.peers, sys; assert 'torch_geometric' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.cuda
def test_floor_runs(graph: Graph) -> None:
    graph = graph.to("cuda")
    features = [t.detach().cuda() for t in inputs("attend", graph, torch.float16)]
    out = peers.attend_floor(graph, torch.float16)(*features)
    assert out.shape == features[0].shape
    q, k, v = (t.double() for t in features)
    source, receiver = graph.edge_index
    expected = torch.zeros_like(q).index_add(0, receiver, k[source] * v[source])
    assert largest_difference([out], [expected]) < TOLERANCES[torch.float16]
