"""NAT: the future, ties, gradients, and what it refuses; test_nat_oracle has the definition."""

from typing import Any

import pytest
import torch
from torch import Tensor

from neighborgraph.errors import InputError
from neighborgraph.models import NAT, NATSum

SMALL: dict[str, Any] = {
    "self_channels": 5,
    "slot_channels": 3,
    "position_channels": 2,
    "time_channels": 2,
    "hidden_channels": 4,
    "near": 3,
    "far": 2,
    "alpha": 0.6,
    "dropout": 0.0,
}
NODES = 9


def stream(events: int, seed: int, nodes: int = NODES, span: int = 40) -> tuple[Tensor, ...]:
    """Sources, destinations, negatives and times, with repeats, loops and ties."""
    random = torch.Generator().manual_seed(seed)
    ends = torch.randint(nodes, (3, events), generator=random)
    time = torch.randint(span, (events,), generator=random).sort().values
    return *ends, time


def play(model: NAT, memory: Any, parts: Any, size: int, feature: Tensor | None = None) -> Tensor:
    """[2, e] scores of a stream's events and negatives, in batches."""
    scores, event = [], torch.arange(len(parts[0]), device=parts[0].device)
    for *batch, number in zip(*(part.split(size) for part in (*parts, event)), strict=True):
        source, _, _, time = batch
        ends = model.look(memory, torch.cat(batch[:3]), time.repeat(3), feature)
        sources, others = ends.split(len(source))
        scores.append(model(sources, others))
        model.insert(memory, sources, others.split(len(source))[0], number)
    return torch.cat(scores, dim=1)


def test_no_score_knows_the_future() -> None:
    model, size = NAT(**SMALL).eval(), 7
    for seed in range(20):
        parts = stream(70, seed, span=10**6)
        cut = 35
        # From the batch at the cut on, everything changes but what that batch asks.
        other = stream(70, seed + 1000, span=10**6)
        changed = [torch.cat([a[:cut], b[cut:]]) for a, b in zip(parts, other, strict=True)]
        changed[3][cut:] = parts[3][cut:]
        with torch.no_grad():
            found, again = (play(model, model.memory(NODES), p, size) for p in (parts, changed))
        assert torch.equal(found[:, :cut], again[:, :cut])
        assert not torch.equal(found[:, cut + size :], again[:, cut + size :])


def test_an_event_never_sees_itself_nor_its_batch() -> None:
    model = NAT(**SMALL).eval()
    parts = stream(40, seed=3, span=10**6)
    memory = model.memory(NODES)
    with torch.no_grad():
        play(model, memory, parts, 8)
        before = {name: tensor.clone() for name, tensor in memory.tensors().items()}
        node, time = torch.arange(NODES), torch.full((NODES,), 10**6)
        ends = model.look(memory, node, time)
        model(*ends.split(3))
        for name, tensor in memory.tensors().items():
            assert torch.equal(tensor, before[name]), name  # looking and scoring write nothing
        # Node 5 is met at that very time, which is not shown at that time but a moment later.
        pair = model.look(memory, torch.tensor([0, 5]), time[:2])
        model.insert(memory, *pair.split(1), torch.tensor([100]))
        tied, later = (model.look(memory, node, t) for t in (time, time + 1))
        slot = later.neighbor[0, :4].eq(5).nonzero().flatten()
        assert later.is_before[0, slot].all()
        assert not tied.is_before[0, slot].any()
        for end in (0, 5):
            torch.testing.assert_close(tied.own[end], ends.latest[end])
            assert not torch.allclose(later.own[end], ends.latest[end])


def test_swapping_candidates_swaps_their_scores() -> None:
    model, parts = NAT(**SMALL).eval(), stream(40, seed=1)
    memory = model.memory(NODES)
    with torch.no_grad():
        play(model, memory, parts, 8)
        time = torch.full((9,), 99)
        ends = model.look(memory, torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8]), time)
        swapped = model.look(memory, torch.tensor([0, 1, 2, 6, 7, 8, 3, 4, 5]), time)
        first, second = model(*ends.split(3))
        torch.testing.assert_close(torch.stack([second, first]), model(*swapped.split(3)))


def test_neighbours_matter() -> None:
    model, parts = NAT(**SMALL).eval(), stream(60, seed=2)
    memory = model.memory(NODES)
    with torch.no_grad():
        play(model, memory, parts, 8)
        ends = model.look(memory, torch.arange(8), torch.full((8,), 99))
        scores = model(*ends.split(4))
        for hop in (1, 2):
            memory.tables[hop].event.fill_(-1)
        without = model(*model.look(memory, torch.arange(8), torch.full((8,), 99)).split(4))
    assert (scores != without).all()


@pytest.mark.parametrize("kind", [NAT, NATSum])
def test_gradient(kind: type[NAT]) -> None:
    model = kind(**SMALL, edge_channels=1).double()
    feature = torch.randn(30, 1).double()
    parts, names = stream(24, seed=5), [name for name, _ in model.named_parameters()]
    memory = model.memory(NODES)
    with torch.no_grad():
        play(model, memory, parts, 8, feature)
    ends = torch.arange(6), torch.full((6,), 99)

    def scores(*values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        call = torch.func.functional_call
        return call(_Scored(model), {f"model.{n}": v for n, v in given.items()}, (memory, feature))

    class _Scored(torch.nn.Module):
        def __init__(self, model: NAT) -> None:
            super().__init__()
            self.model = model

        def forward(self, memory: Any, feature: Tensor) -> Tensor:
            return self.model(*self.model.look(memory, *ends, feature).split(3))

    values = [p.detach().clone().requires_grad_() for p in model.parameters()]
    assert torch.autograd.gradcheck(scores, values, fast_mode=True)
    scores(*values).sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in values)


def test_dropout_is_for_training_alone() -> None:
    model = NAT(**{**SMALL, "dropout": 0.5})
    memory = model.memory(NODES)
    ends = model.look(memory, torch.arange(4), torch.full((4,), 3)).split(2)
    assert not torch.equal(model(*ends), model(*ends))
    assert torch.equal(model.eval()(*ends), model(*ends))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"near": 0}, "near=0 must be at least 1"),
        ({"far": -1}, "far=-1 must be at least 0"),
        ({"edge_channels": -2}, "edge_channels=-2 must be at least 0"),
        ({"alpha": 1.5}, r"alpha=1.5 is outside \[0, 1\]"),
        ({"dropout": 1.0}, r"dropout=1.0 is outside \[0, 1\)"),
        ({"time_channels": 0}, "time_channels=0 must be at least 1"),
    ],
)
def test_refused_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NAT(**{**SMALL, **options})


def test_refused_streams() -> None:
    model = NAT(**SMALL, edge_channels=2)
    memory, time = model.memory(NODES), torch.full((2,), 5)
    pair = torch.tensor([0, 1])
    with pytest.raises(InputError, match="feature is None, but the model has edge_channels=2"):
        model.look(memory, pair, time)
    with pytest.raises(InputError, match=r"feature must have shape \[E, 2\]"):
        model.look(memory, pair, time, torch.zeros(3, 4))
    with pytest.raises(InputError, match="node"):
        model.look(memory, pair + 8, time, torch.zeros(1, 2))
    ends = model.look(memory, pair, time, torch.zeros(1, 2)).split(1)
    model.insert(memory, *ends, torch.tensor([0]))
    with pytest.raises(InputError, match="time"):
        model.look(memory, pair, time - 1, torch.zeros(1, 2))
    with pytest.raises(InputError, match="event"):
        model.insert(memory, *ends, torch.tensor([0]))
    with pytest.raises(InputError, match="3 destinations cannot be dealt to 2 sources"):
        model(*model.look(memory, torch.arange(5), torch.full((5,), 9), torch.zeros(1, 2)).split(2))


@pytest.mark.cuda
@pytest.mark.parametrize("kind", [NAT, NATSum])
def test_on_a_gpu_as_on_a_cpu(kind: type[NAT], waiting_refused: Any) -> None:
    model = kind(**SMALL).double().eval()
    parts = stream(64, seed=4)
    with torch.no_grad():
        memory = model.memory(NODES)
        expected = play(model, memory, parts, 8)
        model.cuda()
        there = model.memory(NODES, device="cuda")
        parts = [part.cuda() for part in parts]
        found = play(model, there, parts, 8)
        torch.testing.assert_close(found.cpu(), expected)
        there.reset()
        with waiting_refused():
            again = play(model, there, parts, 8)
    assert torch.equal(again, found)
    for name, tensor in there.tensors().items():
        if not name.endswith("feature"):
            assert torch.equal(tensor.cpu(), memory.tensors()[name]), name
