"""LinkDataset refuses what does not fit together; negatives are laid out as documented."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from neighborgraph.data import LinkDataset, OwnNegatives, SharedNegatives
from neighborgraph.data.synthetic import load_tiny_links
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph, to_undirected

TINY = load_tiny_links()
WITH_NAN = TINY.x.clone() if TINY.x is not None else torch.empty(0)
WITH_NAN[7, 2] = torch.nan


def shared(edges: Tensor = TINY.val.edges, negatives: Tensor = TINY.val.negatives, k: int = 20):
    return SharedNegatives(edges, negatives, k)


def own(negatives: Tensor) -> OwnNegatives:
    return OwnNegatives(TINY.val.edges, negatives)


FAR = TINY.val.edges.clone()
FAR[1, 3] = 120


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": WITH_NAN}, "1 features are NaN or infinite, the first at node 7, column 2"),
        ({"x": torch.zeros(119, 3)}, r"x must have shape \[120, F\], got \[119, 3\]"),
        ({"train": TINY.train.t()}, r"train edges must have shape \[2, P\]"),
        ({"train": TINY.train.float()}, "train edges"),
        ({"train": TINY.train[:, :0]}, "the train split is empty"),
        ({"val": shared(FAR)}, r"val edges\[63\] = 120 is outside \[0, 120\)"),
        ({"test": shared(FAR)}, r"test edges\[63\] = 120 is outside"),
        ({"val": shared(negatives=FAR)}, r"val negatives\[63\] = 120 is outside"),
        ({"val": shared(negatives=TINY.val.negatives.t())}, r"val negatives must have shape"),
        (
            {"val": shared(negatives=TINY.val.negatives[:, :19])},
            "has 19 negatives, but Hits@20 needs",
        ),
        ({"val": shared(k=10)}, "val split is judged by hits@10, the test split by hits@20"),
        ({"val": own(torch.zeros(59, 5, dtype=torch.int64))}, r"must have shape \[60, R\]"),
        ({"val": own(torch.zeros(60, 0, dtype=torch.int64))}, "the val split has no negatives"),
        ({"val": own(torch.full((60, 5), -1))}, r"val negatives\[0\] = -1 is outside"),
        ({"val": own(torch.zeros(60, 5))}, "val negatives"),
    ],
)
def test_inconsistent_parts(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        replace(TINY, **change)
    assert str(caught.value).startswith("data set tiny-links: ")


def test_negatives_by_place() -> None:
    shared_ones = shared(negatives=torch.tensor([[0, 2, 4], [1, 3, 5]]), k=1)
    assert shared_ones.metric == "hits@1"
    assert shared_ones.pairs(1, 3).tolist() == [[2, 4], [3, 5]]
    own_ones = OwnNegatives(torch.tensor([[7, 8], [0, 1]]), torch.tensor([[1, 2, 3], [4, 5, 6]]))
    assert own_ones.metric == "mrr"
    assert own_ones.pairs(0, 6).tolist() == [[7, 7, 7, 8, 8, 8], [1, 2, 3, 4, 5, 6]]
    assert own_ones.pairs(2, 4).tolist() == [[7, 8], [3, 4]]


def small(weight: Tensor | None) -> LinkDataset:
    """A path of weights 2 and 3, with a known and a new pair to validate."""
    train = torch.tensor([[0, 1], [1, 2]])
    graph = to_undirected(Graph.from_edge_index(train, 4, weight=weight))
    val = SharedNegatives(torch.tensor([[2, 3, 3], [1, 0, 3]]), torch.tensor([[0], [2]]), 1)
    return LinkDataset("small", graph, None, train, val, val, "typed in")


def test_graph_with_validation_edges() -> None:
    pairs = [(0, 1), (1, 0), (1, 2), (2, 1), (0, 3), (3, 0)]
    plain = small(None).graph_with_validation
    assert plain.weight is None
    assert sorted(map(tuple, plain.edge_index.t().tolist())) == sorted(pairs)
    weighted = small(torch.tensor([2.0, 3.0])).graph_with_validation
    assert weighted.weight is not None
    found = zip(map(tuple, weighted.edge_index.t().tolist()), weighted.weight.tolist(), strict=True)
    assert dict(found) == dict(zip(pairs, [2.0, 2.0, 4.0, 4.0, 1.0, 1.0], strict=True))


def test_digest_tells_versions_apart() -> None:
    assert load_tiny_links().digest == TINY.digest
    assert replace(TINY, x=None).digest != TINY.digest
    assert replace(TINY, train=TINY.train.flip(1)).digest != TINY.digest
    assert replace(TINY, test=TINY.val).digest != TINY.digest
    assert small(torch.tensor([2.0, 3.0])).digest != small(torch.tensor([2.0, 4.0])).digest
