"""What tasks of a stream share: they are trained alike, and replay what was scored."""

import pytest
import torch
from torch import Tensor

from neighborgraph.data.streams import load_tiny_events
from neighborgraph.errors import InputError
from neighborgraph.graph import Events
from neighborgraph.models import NAT, EdgeBank
from neighborgraph.tasks import RankedLinkPrediction, TemporalLinkPrediction
from neighborgraph.tasks.stream import StreamTask

TINY = load_tiny_events().events
SPLIT = TINY.split()
GIVEN = [torch.zeros(len(part), 2, dtype=torch.int64) for part in (SPLIT.val, SPLIT.test)]


def tasks(model: NAT | EdgeBank) -> tuple[StreamTask, StreamTask]:
    sampled = TemporalLinkPrediction(TINY, model, seed=3, batch_size=64)
    ranked = RankedLinkPrediction(
        TINY, SPLIT, model, GIVEN[0], GIVEN[1], lambda *_: 0.0, seed=3, batch_size=64
    )
    return sampled, ranked


def test_all_are_trained_alike() -> None:
    torch.manual_seed(0)
    model = NAT(self_channels=8, hidden_channels=8, near=6, far=4)
    model.eval()
    losses: list[list[Tensor]] = [
        [task.loss(model, *batch) for batch in task.batches(model, epoch=2)]
        for task in tasks(model)
    ]
    assert len(losses[0]) == -(-len(SPLIT.train) // 64)
    assert torch.equal(*(torch.stack(each) for each in losses))


def test_a_replay_leaves_what_scoring_leaves() -> None:
    torch.manual_seed(0)
    model = NAT(self_channels=8, hidden_channels=8, near=6, far=4)
    model.eval()
    scored, replayed = tasks(model)
    for batch in scored.batches(model, epoch=0):
        scored.predict(model, *batch)
    replayed.replay(model, replayed.past)
    replayed.replay(model, replayed.past)  # begins anew
    for name, tensor in scored.memory.tensors().items():
        assert torch.allclose(replayed.memory.tensors()[name], tensor, atol=1e-6), name


def test_refusals() -> None:
    class Alone(StreamTask):
        def evaluate(self, model):
            raise NotImplementedError

    sizes = {"seed": 0, "batch_size": 5, "judged_size": 5}
    for name in ("batch_size", "judged_size"):
        with pytest.raises(InputError, match=f"{name}=0 must be at least 1"):
            Alone(TINY, SPLIT, EdgeBank(), **{**sizes, name: 0})
    task = Alone(TINY, SPLIT, EdgeBank(), **sizes)
    assert isinstance(task.past, Events) and len(task.past) == len(SPLIT.train)
