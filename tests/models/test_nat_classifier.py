"""NATClassifier: it scores pairs as NAT does, and events by their features, too."""

from typing import Any

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.models import NAT, NATClassifier
from neighborgraph.models.nat import NATSight

SMALL: dict[str, Any] = {"self_channels": 5, "hidden_channels": 4, "near": 3, "far": 2}


def ends(model: NAT, feature: torch.Tensor | None = None) -> tuple[NATSight, NATSight]:
    """Two pairs of a stream in which three events have happened."""
    memory, event = model.memory(6), torch.arange(3)
    source, destination = torch.tensor([[0, 1, 2], [3, 3, 4]])
    time = torch.tensor([1, 2, 3])
    both = torch.cat([source, destination])
    sights = model.look(memory, both, time.repeat(2), feature)
    model.insert(memory, *sights.split(3), event)
    seen = model.look(memory, torch.tensor([0, 5, 1, 5]), torch.tensor([9] * 4), feature)
    return seen.split(2)


def test_pairs_are_scored_as_by_nat() -> None:
    torch.manual_seed(0)
    model, plain = NATClassifier(**SMALL).eval(), NAT(**SMALL).eval()
    plain.load_state_dict(
        {name: t for name, t in model.state_dict().items() if not name.startswith("state_head")}
    )
    assert torch.equal(model(*ends(model)), plain(*ends(plain)))


def test_labels_follow_from_memory_and_features() -> None:
    torch.manual_seed(0)
    model, feature = NATClassifier(edge_channels=2, **SMALL).eval(), torch.randn(3, 2)
    pair = ends(model, feature)
    now = torch.randn(2, 2)
    scores = model.classify(*pair, now)
    vectors = torch.cat([model.pair_vectors(*pair), now], dim=1)
    assert torch.equal(scores, model.state_head(vectors)[:, 0])
    changed = model.classify(*pair, now + torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    assert (changed != scores).tolist() == [False, True]
    node, time = torch.tensor([0, 5, 1, 5]), torch.tensor([9] * 4)
    forgotten = model.look(model.memory(6), node, time, feature)
    blank = model.classify(*forgotten.split(2), now)
    assert blank[0] != scores[0] and blank[1] == scores[1]  # node 5 never met any


def test_labels_teach_all_parameters() -> None:
    torch.manual_seed(0)
    model = NATClassifier(edge_channels=2, **SMALL).train()
    model.classify(*ends(model, torch.randn(3, 2)), torch.randn(2, 2)).sum().backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {name for name, _ in model.named_parameters() if name.startswith("head.")}


def test_refusals() -> None:
    model = NATClassifier(edge_channels=2, **SMALL)
    pair = ends(model, torch.randn(3, 2))
    with pytest.raises(InputError, match="feature is None, but the model has edge_channels=2"):
        model.classify(*pair)
    with pytest.raises(InputError, match=r"feature .*\[2, 3\]"):
        model.classify(*pair, torch.randn(2, 3))
    with pytest.raises(InputError, match="near=0 must be at least 1"):
        NATClassifier(near=0)
