"""Judge: a small GCN that says how well generated features suit the labelled nodes."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.graph import Graph, add_self_loops
from neighborgraph.nn import symmetric_scale
from neighborgraph.ops import aggregate

HIDDEN_CHANNELS = 32
DROPOUT = 0.5
LEARNING_RATE = 0.01
WEIGHT_DECAY = 5e-4


def uncertainty(scores: Tensor, y: Tensor) -> Tensor:
    r"""How much the predictions of one node differ, as they bear on its label.

    .. math::

        U = \frac{1}{T} \sum_i \Big( -\log \frac{1}{P} \sum_p \pi_{ip}
            + \frac{1}{P} \sum_p \log \pi_{ip} \Big) \le 0

    where :math:`\pi_{ip}` is the probability that prediction p gives the label of node i. It is 0
    when all P predictions agree.

    Args:
        scores: [T, P, C] class scores before the softmax.
        y: [T] int64 labels.

    Returns:
        A scalar.
    """
    log_probability = scores.log_softmax(-1)[torch.arange(len(y), device=y.device), :, y]
    mixed = log_probability.logsumexp(1) - math.log(scores.shape[1])
    return (log_probability.mean(1) - mixed).mean()


class Judge(nn.Module):
    r"""Two graph convolutions, evaluated at the labelled nodes only.

    .. math::

        Z = \hat{A} \, \mathrm{drop}(\mathrm{relu}(\hat{A} X W_1 + b_1)) W_2 + b_2

    Dropout stands between the layers only, so :math:`\hat{A} X` is the same for all predictions.
    Two hops away from the labelled nodes the graph is cut, which changes no result.

    Attributes:
        nodes: Ids of the nodes whose features are needed.
    """

    nodes: Tensor

    def __init__(self, graph: Graph, features: int, y: Tensor, train: Tensor):
        """Cut the graph and create the layers.

        Args:
            graph: The n nodes' neighbours; loops are added.
            features: Width F.
            y: [n] int64 labels.
            train: [T] ids of the labelled nodes.
        """
        super().__init__()
        graph = add_self_loops(graph)
        scale = symmetric_scale(graph)
        self.y = y[train]
        self.outer, hidden_nodes = rows_of(graph, train)
        self.inner, self.nodes = rows_of(graph, hidden_nodes)
        self.scales = scale[train], scale[hidden_nodes], scale[self.nodes]
        self.hidden = nn.Linear(features, HIDDEN_CHANNELS)
        self.out = nn.Linear(HIDDEN_CHANNELS, int(self.y.max()) + 1, bias=False)
        self.out_bias = nn.Parameter(torch.zeros(self.out.out_features))
        self.to(graph.device)
        self.adam = torch.optim.Adam(
            self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
        )

    def smooth(self, x: Tensor) -> Tensor:
        """What the first layer sees, for features [len(nodes), F]."""
        _, middle, first = self.scales
        return aggregate(self.inner, x, row_scale=middle, col_scale=first)

    def forward(self, smooth: Tensor, predictions: int) -> Tensor:
        """[T, P, C] scores of P predictions with dropout masks of their own, from `smooth`."""
        last, middle, _ = self.scales
        h = self.hidden(smooth).relu()[:, None]
        kept = torch.rand(len(h), predictions, HIDDEN_CHANNELS, device=h.device) >= DROPOUT
        z = self.out(h * kept) / (1 - DROPOUT)
        return aggregate(self.outer, z, row_scale=last, col_scale=middle) + self.out_bias

    def learn(self, smooth: Tensor, epochs: int) -> None:
        """Train on the labels for some epochs."""
        for _ in range(epochs):
            self.adam.zero_grad()
            F.cross_entropy(self(smooth, 1)[:, 0], self.y).backward()
            self.adam.step()

    @torch.no_grad()
    def score(self, smooth: Tensor, predictions: int) -> float:
        """The `uncertainty` of P predictions."""
        return uncertainty(self(smooth, predictions), self.y).item()


def rows_of(graph: Graph, rows: Tensor) -> tuple[Graph, Tensor]:
    """Some rows as a graph of their own, from the nodes [m] that they gather from."""
    place = torch.full((graph.num_rows,), -1, device=graph.device)
    place[rows] = torch.arange(len(rows), device=graph.device)
    source, receiver = graph.edge_index
    wanted = place[receiver] >= 0
    nodes, column = source[wanted].unique(return_inverse=True)
    edges = torch.stack([column, place[receiver[wanted]]])
    return Graph.from_edge_index(edges, (len(nodes), len(rows))), nodes
