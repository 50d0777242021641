"""Host memory: an ordinary tensor for a CPU, and one that a GPU reads and writes in place."""

import pytest
import torch

from neighborgraph.graph import Graph, add_self_loops, to_undirected
from neighborgraph.nn import empty_on_host, hop_features
from neighborgraph.nn.host_memory import WORDS, Pinned


def test_on_a_cpu() -> None:
    made = empty_on_host((3, 4), torch.bfloat16)
    assert (made.shape, made.dtype, made.device.type) == ((3, 4), torch.bfloat16, "cpu")


def test_every_type_has_words() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8):
        assert WORDS[dtype.itemsize].endswith(str(dtype.itemsize))


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_gpu_reads_and_writes_it(dtype: torch.dtype) -> None:
    before = torch.cuda.memory_allocated()
    made = empty_on_host((1000, 3, 7), dtype, "cuda")
    assert torch.cuda.memory_allocated() == before
    assert (made.shape, made.dtype, made.device.type) == ((1000, 3, 7), dtype, "cuda")
    values = torch.randn(1000, 3, 7).to(dtype)
    made.copy_(values)
    rows = torch.randint(1000, (50, 4), device="cuda")
    assert torch.equal(made[rows].cpu(), values[rows.cpu()])
    made[:, 1] = 5
    values[:, 1] = 5
    assert torch.equal(made.cpu(), values)


@pytest.mark.cuda
def test_the_host_sees_what_the_gpu_wrote_and_memory_is_unpinned() -> None:
    memory = torch.zeros(5000)
    seen = torch.as_tensor(Pinned(memory), device="cuda").view(torch.float32)
    seen += 1
    torch.cuda.synchronize()
    assert memory.is_pinned()
    assert memory.eq(1).all()
    del seen
    assert not memory.is_pinned()


@pytest.mark.cuda
def test_hop_features_in_host_memory_are_those_on_the_gpu() -> None:
    edges = torch.randint(30, (2, 60))
    graph = add_self_loops(to_undirected(Graph.from_edge_index(edges, 30))).to("cuda")
    x = torch.randn(30, 7)
    there = hop_features(graph, x.cuda(), 2)
    here = hop_features(graph, x, 2, out=empty_on_host((30, 3, 7), torch.float32, "cuda"))
    assert torch.equal(here, there)


@pytest.mark.cuda
def test_nothing_is_pinned_where_there_is_nothing() -> None:
    assert empty_on_host((0, 3), torch.float32, "cuda").shape == (0, 3)
