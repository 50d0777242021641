"""The benchmark of finding a locality order."""

import torch

from neighborgraph import Graph
from neighborgraph.bench.reorder import DEFAULT_GRAPHS, distinct_share, reorder_rows


def test_rows() -> None:
    rows = list(reorder_rows("cora-shuffled", torch.device("cpu"), 0.01))
    assert [row.stage for row in rows] == ["reorder", "build"]
    assert all(row.op == "reorder" and row.graph == "cora-shuffled" and row.timing for row in rows)
    assert rows[0].ratio == 1
    before, _, after = rows[0].note.split()[:3]
    assert float(after) < float(before)


def test_every_device_has_a_graph() -> None:
    assert set(DEFAULT_GRAPHS) == {"cpu", "cuda"}


def test_distinct_share() -> None:
    # Rows 0 and 1 read column 2, row 2 reads columns 0 and 2.
    graph = Graph.from_edge_index(torch.tensor([[2, 2, 0, 2], [0, 1, 2, 2]]), 3)
    assert distinct_share(graph, 1) == 1
    assert distinct_share(graph, 2) == 3 / 4
    assert distinct_share(graph, 4) == 2 / 4
