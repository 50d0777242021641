"""The judge: its score by hand, and its cut graph against the whole one."""

import math

import pytest
import torch

from neighborgraph.graph import Graph, add_self_loops
from neighborgraph.models import uncertainty
from neighborgraph.models.judge import Judge, rows_of
from neighborgraph.nn import propagate


def test_uncertainty_by_hand() -> None:
    # Of label 0: 3/4 and 1/4 in one node, 1/2 twice in the other.
    p = torch.tensor([[[0.75, 0.25], [0.25, 0.75]], [[0.5, 0.5], [0.5, 0.5]]])
    found = uncertainty(p.log(), torch.tensor([0, 0])).item()
    one = -math.log(0.5) + (math.log(0.75) + math.log(0.25)) / 2
    assert found == pytest.approx(one / 2)
    assert found < 0


def test_rows_are_those_of_the_graph(graph: Graph) -> None:
    rows = torch.tensor([7, 3])
    part, nodes = rows_of(graph, rows)
    source, receiver = graph.edge_index
    for i, row in enumerate(rows.tolist()):
        ids = part.rows.idx[part.rows.ptr[i] : part.rows.ptr[i + 1]].long()
        assert sorted(nodes[ids].tolist()) == sorted(source[receiver == row].tolist())


def test_the_cut_changes_no_result(graph: Graph) -> None:
    x, y, train = torch.rand(40, 6), torch.randint(0, 3, (40,)), torch.tensor([0, 5, 9, 39])
    judge = Judge(graph, 6, y, train)
    torch.manual_seed(1)
    found = judge(judge.smooth(x[judge.nodes]), 4000).mean(1)
    whole = add_self_loops(graph)
    hidden = propagate(whole, torch.nn.functional.linear(x, judge.hidden.weight))
    hidden = (hidden + judge.hidden.bias).relu()
    expected = (propagate(whole, judge.out(hidden)) + judge.out_bias)[train]
    # The mean over masks of the last, linear layer is that without dropout.
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.02)


def test_it_learns_the_labels(graph: Graph) -> None:
    x, train = torch.eye(40), torch.arange(6)
    judge = Judge(graph, 40, torch.arange(40) % 2, train)
    smooth = judge.smooth(x[judge.nodes])
    judge.learn(smooth, 200)
    assert torch.equal(judge(smooth, 50).mean(1).argmax(-1), train % 2)
