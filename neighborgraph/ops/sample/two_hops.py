"""two hops: each row draws nodes that are one or two steps away, and no matrix is squared."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from neighborgraph.checks import expect_dtype, expect_same_device, expect_shape, expect_tensor
from neighborgraph.errors import InputError
from neighborgraph.graph import Graph
from neighborgraph.graph.build import expect_square
from neighborgraph.graph.structure import expect_ids
from neighborgraph.ops.registration import register
from neighborgraph.ops.sample.op import MAX_COUNT, Draw, counter, expect_count, signed
from neighborgraph.ops.sample.population import before


@dataclass(frozen=True, eq=False)
class TwoHops:
    """The nodes one and two steps away from n rows, ready to be drawn from; made by `TwoHops.of`.

    Attributes:
        ptr: [n + 1] int64, row i owns positions ``ptr[i] .. ptr[i+1]``.
        idx: [e] int32, the node at each position.
        ends: [e + 1] int64, how many nodes are two steps away by way of all positions before.
    """

    ptr: Tensor
    idx: Tensor
    ends: Tensor

    @classmethod
    def of(cls, graph: Graph) -> Self:
        """Prepare a graph: one number an edge, and no pair of nodes two steps apart is made.

        Args:
            graph: A square graph; its receivers are the rows, and the transpose is not needed.

        Raises:
            InputError: ``graph`` is not square.
        """
        expect_square(graph, "sampling two hops")
        ptr, idx = graph.rows[:2]
        return cls(ptr, idx, before(ptr.diff()[idx.long()]))

    @property
    def num_rows(self) -> int:
        """Number of rows n."""
        return self.ptr.numel() - 1


def two_hops_fake(csr, row, key, count, *_):
    """Shapes: ``count`` nodes a row."""
    return row.new_empty(row.shape[0], count)


run_two_hops = register(
    "sample_two_hops(Tensor[] csr, Tensor row, Tensor key, int count, int seed, int[] counter) "
    "-> Tensor",
    module=__name__,
    fake=two_hops_fake,
)


def sample_two_hops(
    hops: TwoHops, row: Tensor, count: int, draw: Draw, *, key: Tensor | None = None
) -> Tensor:
    r"""Draw nodes one or two steps away from each row.

    A row i draws from the multiset

    .. math::

        M_i = \{ j : j \to i \} \uplus \{ k : k \to j, \; j \to i \},

    in which a node is as often as there are edges, and walks of two edges, from it to i; a walk may
    begin in i itself. It is a row of :math:`A + A^2`, which is never computed. Draws are without
    replacement, with `sample_neighbors`' numbers and promises. A row with fewer nodes than
    ``count`` repeats all of them, in order, until there are enough; one with none draws from all
    nodes, with replacement.

    Args:
        hops: What is drawn from.
        row: [f] int64 rows; a row may occur more than once.
        count: K in [0, 2^31).
        draw: Which random numbers.
        key: [f] int64 in [0, 2^32) that tells the rows' numbers apart; the rows themselves if None.

    Returns:
        [f, K] int64 nodes.

    Raises:
        InputError: A row, the count or the numbers of ``draw`` are outside their range.
        DtypeError: An argument has another type.
        DeviceError: Tensors are on different devices.

    "Graph Transformers for Large Graphs", https://arxiv.org/abs/2312.11109, section 3.1.
    """
    expect_count("count", count)
    if count < 0:
        raise InputError(f"count = {count} must be in [0, {MAX_COUNT}]")
    expect_tensor("row", row)
    expect_dtype("row", row, (torch.int64,))
    expect_shape("row", row, ("f",))
    expect_same_device(hops=hops.ptr, row=row, key=key)
    expect_ids("row", row, hops.num_rows, "graph")
    if key is not None:
        expect_dtype("key", key, (torch.int64,))
        expect_shape("key", key, tuple(row.shape), "one a row")
    return run_two_hops(
        [hops.ptr, hops.idx, hops.ends],
        row,
        row if key is None else key,
        count,
        signed(draw.seed),
        counter(draw),
    )
