"""The proof that swapping changes nothing but time: trainings with and without agree throughout."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
import torch_geometric.nn as pyg
from torch import Tensor, nn

from neighborgraph.nn import accelerate, restore

STEPS = 50
NODES, WIDTH, CLASSES = 80, 12, 4
TOLERANCES = {
    torch.float64: {"rtol": 1e-9, "atol": 1e-10},
    torch.float32: {"rtol": 1e-3, "atol": 1e-4},
}
"""What rounding may grow to in so many steps."""


class Transformer(nn.Module):
    """Two layers, the first with edge vectors and a gated skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.first = pyg.TransformerConv(WIDTH, 8, heads=2, edge_dim=3, beta=True)
        self.second = pyg.TransformerConv(16, CLASSES, heads=2, concat=False)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Scores, [n, classes]."""
        ends = torch.stack([*edge_index, edge_index.sum(0)], 1).to(x.dtype) / NODES
        return self.second(self.first(x, edge_index, ends).relu(), edge_index)


class GPS(nn.Module):
    """Local layers beside dense attention, and a head."""

    def __init__(self) -> None:
        super().__init__()
        local = (
            pyg.GINConv(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU())),
            pyg.TransformerConv(WIDTH, WIDTH // 2, heads=2),
        )
        self.steps = nn.ModuleList(pyg.GPSConv(WIDTH, conv, heads=2) for conv in local)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Scores, [n, classes]."""
        for step in self.steps:
            x = step(x, edge_index)
        return self.head(x)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "GCN": lambda: pyg.GCN(WIDTH, 16, 2, CLASSES),
    "GAT": lambda: pyg.GAT(WIDTH, 16, 2, CLASSES, heads=2),
    "GATv2": lambda: pyg.GAT(WIDTH, 16, 2, CLASSES, heads=2, v2=True),
    "GraphSAGE": lambda: pyg.GraphSAGE(WIDTH, 16, 2, CLASSES, norm="layer"),
    "Transformer": Transformer,
    "GPS": GPS,
}


def train(model: nn.Module, dtype: torch.dtype) -> list[float]:
    """The losses of full-batch training on noisy classes that neighbours share."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(NODES) % CLASSES
    x = torch.randn(NODES, WIDTH, generator=generator, dtype=torch.float64) + F.one_hot(y, WIDTH)
    source = torch.randint(NODES, (6 * NODES,), generator=generator)
    receiver = (source + CLASSES * torch.randint(1, 9, source.shape, generator=generator)) % NODES
    edge_index = torch.stack([source, receiver])
    # Adam would blow rounding up where a gradient is zero but for rounding.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x.to(dtype), edge_index), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_a_training_is_the_same(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    theirs = MODELS[name]().to(dtype)
    torch.manual_seed(3)
    ours = MODELS[name]().to(dtype)
    assert accelerate(ours).swapped
    fused = count_fused(ours)

    expected, losses = train(theirs, dtype), train(ours, dtype)
    assert fused == {True}
    assert losses[-1] < 0.6 * losses[0]
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(expected), **TOLERANCES[dtype])
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, state[key], **TOLERANCES[dtype])

    restore(ours)
    assert [type(m) for m in ours.modules()] == [type(m) for m in theirs.modules()]


def count_fused(model: nn.Module) -> set[bool]:
    """Filled, while the model runs, with whether its layers take the fused path."""
    seen: set[bool] = set()
    for module in model.modules():
        if hasattr(module, "path"):
            module.register_forward_pre_hook(
                lambda layer, args, kwargs: seen.add(layer.path(*args, **kwargs)[0]),
                with_kwargs=True,
            )
    return seen
