"""The mesh of global weather models: an icosahedron whose triangles are cut in four, six times.

The edges of every level stay, so that long ones span the globe and short ones join neighbours:
10 · 4^L + 2 nodes and 20 · (4^(L+1) - 1) directed edges at level L. "Learning skillful
medium-range global weather forecasting", https://arxiv.org/abs/2212.12794.
"""

import torch
from torch import Tensor

LEVEL = 6
"""40,962 nodes and 327,660 edges."""

ICOSAHEDRON = (
    *((0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5), (0, 5, 1)),
    *((1, 6, 2), (2, 7, 3), (3, 8, 4), (4, 9, 5), (5, 10, 1)),
    *((6, 7, 2), (7, 8, 3), (8, 9, 4), (9, 10, 5), (10, 6, 1)),
    *((11, 7, 6), (11, 8, 7), (11, 9, 8), (11, 10, 9), (11, 6, 10)),
)
"""Triangles of 12 corners: a top, two rings of five, a bottom."""


def icosahedral_edges(level: int, device: torch.device | str) -> tuple[Tensor, int]:
    """The [2, e] edges of all levels up to ``level``, both ways, and the number of nodes."""
    triangles = torch.tensor(ICOSAHEDRON)
    num_nodes = 12
    edges = []
    for step in range(level + 1):
        sides = torch.cat([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        undirected, side = sides.sort(1).values.unique(dim=0, return_inverse=True)
        edges += [undirected, undirected.flip(1)]
        if step < level:
            triangles = cut_in_four(triangles, (num_nodes + side).view(3, -1))
            num_nodes += len(undirected)
    return torch.cat(edges).T.contiguous().to(device), num_nodes


def cut_in_four(triangles: Tensor, middles: Tensor) -> Tensor:
    """Each triangle's three corner pieces and the one between them.

    Args:
        triangles: [t, 3] nodes.
        middles: [3, t] nodes in the middle of the sides 01, 12 and 20.
    """
    a, b, c = triangles.unbind(1)
    ab, bc, ca = middles
    pieces = (a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)
    return torch.cat([torch.stack(piece, 1) for piece in pieces])
