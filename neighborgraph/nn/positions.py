"""Positions: where in the graph a node is, as a vector."""

import torch
import torch.nn.functional as F
from torch import Tensor

from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.graph.build import expect_square
from neighborgraph.nn.propagate import propagate_sum


@torch.no_grad()
def random_projection(
    graph: Graph,
    channels: int,
    *,
    coefficients: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0, 1.0),
    seed: int = 0,
) -> Tensor:
    r"""Positions of nodes without training: nodes with like surroundings get like vectors.

    .. math::

        p = \operatorname{normalize}\Big( \sum_k \alpha_k \hat{A}^k R \Big), \qquad
        R_{ij} \sim \mathcal{N}(0, 1)

    Inner products of rows are those of the rows of :math:`\sum_k \alpha_k \hat{A}^k`, but for
    chance. R is drawn on the CPU, so it is the same on every device.

    Args:
        graph: A square graph of n nodes that already has the self-loops it should have.
        channels: Width of a position.
        coefficients: :math:`\alpha_0 \dots \alpha_K`; those of short walks, which most pairs of
            nodes do not share, are zero by default.
        seed: Of R.

    Returns:
        [n, channels] float32 rows of length 1, or 0 for a node that no walk reaches, on the graph's
        device.

    Raises:
        InputError: ``graph`` is not square, or there is no channel or coefficient.

    "Fast and Accurate Network Embeddings via Very Sparse Random Projection",
    https://arxiv.org/abs/1908.11512, here with a normal R and the symmetric normalisation.
    """
    nodes = expect_square(graph, "propagation")
    if channels < 1:
        raise InputError(f"channels={channels} must be at least 1")
    drawn = torch.randn(nodes, channels, generator=torch.Generator().manual_seed(seed))
    mixed = propagate_sum(graph, drawn.to(graph.device), coefficients)
    return F.normalize(mixed, dim=1)
