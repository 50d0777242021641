"""Graph: who neighbours whom, immutable and complete at birth.

**Rows receive.** Row i lists the nodes i gathers from. A PyG ``edge_index`` holds sources in its
first row and receivers in its second, so row = ``edge_index[1]`` and column = ``edge_index[0]``.
Letters used everywhere: n rows (receivers), m columns (sources), e edges.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from neighborgraph.checks import expect_same_device, expect_shape, expect_tensor
from neighborgraph.errors import InputError
from neighborgraph.graph.locality import inverse, locality_order
from neighborgraph.graph.schedule import Schedule, schedule
from neighborgraph.graph.structure import (
    expect_edge_index,
    expect_ids,
    expect_pointer,
    expect_same_sizes,
    expect_size,
    expect_sizes,
    expect_weight,
)


class Csr(NamedTuple):
    """One direction of the adjacency, with its work schedule; the unit an operator receives."""

    ptr: Tensor
    """[n + 1] int64: row i owns positions ``ptr[i] .. ptr[i+1]``."""
    idx: Tensor
    """[e] int32: the node each position reads; within a row, in the caller's edge order, or
    ascending in a graph from `Graph.reorder`."""
    edge_id: Tensor
    """[e] int32: the caller's number of the edge at each position."""
    item_row: Tensor
    item_first: Tensor
    item_edges: Tensor
    item_slot: Tensor
    split_row: Tensor
    split_ptr: Tensor

    @property
    def num_rows(self) -> int:
        """Number of rows n."""
        return self.ptr.numel() - 1

    @property
    def schedule(self) -> Schedule:
        """The work items of these rows."""
        return Schedule(*self[3:])


def sort_edges(row: Tensor, col: Tensor, num_rows: int) -> Csr:
    """Group int32 edges (row, col) by row, keeping the caller's order within each row."""
    sorted_row, edge_id = row.sort(stable=True)
    ptr = torch._convert_indices_from_coo_to_csr(sorted_row, num_rows)
    idx = col.index_select(0, edge_id)
    return Csr(ptr, idx, edge_id.to(torch.int32), *schedule(ptr))


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """A directed multigraph between m sources and n receivers, ready for every operator.

    Duplicate edges count as often as they occur and a self-loop is an ordinary edge. Build one with
    `Graph.from_edge_index`, `Graph.from_csr` or `as_graph`; all tensors are the graph's own
    and must not be changed.

    Attributes:
        rows: Receiver-major adjacency, which the forward pass walks.
        cols: Source-major adjacency (the transpose), which the backward pass walks; None when the
            graph was built with ``transpose=False``.
        num_rows: Number of receivers n.
        num_cols: Number of sources m.
        weight: Optional edge weights [e] in the caller's edge order.
    """

    rows: Csr
    cols: Csr | None
    num_rows: int
    num_cols: int
    weight: Tensor | None = None

    @staticmethod
    def from_edge_index(
        edge_index: Tensor,
        num_nodes: int | tuple[int, int],
        *,
        weight: Tensor | None = None,
        transpose: bool = True,
    ) -> "Graph":
        """Build from sources ``edge_index[0]`` and receivers ``edge_index[1]``, checking every id.

        Args:
            edge_index: [2, e] int32 or int64.
            num_nodes: The number of nodes, or (sources m, receivers n) of a bipartite graph. It is
                never guessed from the largest id, which would lose trailing isolated nodes.
            weight: Optional [e] floating point edge weights; copied, except that weights which
                require grad stay the caller's own, so that they can be learned.
            transpose: False leaves out the transpose: less memory, no backward pass.

        Raises:
            InputError: A shape or an id is wrong; names the position and the allowed range.
            DtypeError: ids or weights have another type.
            DeviceError: ``weight`` is on another device.
        """
        num_cols, num_rows = expect_sizes(num_nodes)
        expect_edge_index(edge_index)
        for axis, size in enumerate((num_cols, num_rows)):
            expect_ids(f"edge_index[{axis}]", edge_index[axis], size, "num_nodes")
        expect_weight(weight, edge_index.shape[1], edge_index=edge_index)
        return Graph.from_trusted_edge_index(
            edge_index, (num_cols, num_rows), weight=weight, transpose=transpose
        )

    @staticmethod
    def from_trusted_edge_index(
        edge_index: Tensor,
        num_nodes: tuple[int, int],
        *,
        weight: Tensor | None = None,
        transpose: bool = True,
    ) -> "Graph":
        """Like `from_edge_index` without any check: a wrong id is undefined behaviour later."""
        num_cols, num_rows = num_nodes
        # A plain tensor: a subclass such as PyG's EdgeIndex would run its own code on each step.
        col, row = edge_index.as_subclass(Tensor).detach().to(torch.int32).unbind()
        rows = sort_edges(row, col, num_rows)
        cols = sort_edges(col, row, num_cols) if transpose else None
        if weight is not None and not weight.requires_grad:
            weight = weight.clone(memory_format=torch.contiguous_format)
        return Graph(rows, cols, num_rows, num_cols, weight)

    @staticmethod
    def from_csr(
        ptr: Tensor,
        idx: Tensor,
        num_cols: int,
        *,
        weight: Tensor | None = None,
        transpose: bool = True,
    ) -> "Graph":
        """Build from a receiver-major CSR: row i gathers from ``idx[ptr[i] : ptr[i+1]]``.

        Args:
            ptr: [n + 1] int32 or int64, from 0 to e, never decreasing.
            idx: [e] int32 or int64 source ids.
            num_cols: Number of sources m.
            weight: Optional [e] floating point edge weights in the order of ``idx``.
            transpose: False leaves out the transpose: less memory, no backward pass.

        Raises:
            InputError: The pointer or an id is wrong; names the position and the allowed range.
            DtypeError: Pointer, ids or weights have another type.
            DeviceError: The tensors are on different devices.
        """
        expect_size("num_cols", num_cols)
        expect_pointer(ptr, idx)
        expect_ids("idx", idx, num_cols, "num_cols")
        expect_weight(weight, idx.numel(), idx=idx)
        num_rows = ptr.numel() - 1
        ptr, idx = ptr.detach().to(torch.int64), idx.detach().to(torch.int32)
        row = torch.arange(num_rows, dtype=torch.int32, device=idx.device)
        row = row.repeat_interleave(ptr.diff(), output_size=idx.numel())
        edge_index = torch.stack([idx, row])
        return Graph.from_trusted_edge_index(
            edge_index, (num_cols, num_rows), weight=weight, transpose=transpose
        )

    @property
    def num_edges(self) -> int:
        """Number of edges e, duplicates counted."""
        return self.rows.idx.numel()

    @property
    def device(self) -> torch.device:
        """Where the graph's tensors are."""
        return self.rows.ptr.device

    @property
    def degree(self) -> Tensor:
        """[n] int64: edges each receiver gathers from."""
        return self.rows.ptr.diff()

    def degree_as(self, dtype: torch.dtype) -> Tensor:
        """[n] floating point `degree`, computed in one pass; a new tensor at each call."""
        return torch.diff(self.rows.ptr, out=self.rows.ptr.new_empty(self.num_rows, dtype=dtype))

    @property
    def col_degree(self) -> Tensor:
        """[m] int64: edges each source sends."""
        return self.expect_cols("col_degree").ptr.diff()

    @property
    def edge_index(self) -> Tensor:
        """[2, e] int64: sources and receivers in the caller's edge order."""
        row = torch.arange(self.num_rows, device=self.device)
        row = row.repeat_interleave(self.degree, output_size=self.num_edges)
        edge_index = torch.empty(2, self.num_edges, dtype=torch.int64, device=self.device)
        edge_index[:, self.rows.edge_id.long()] = torch.stack([self.rows.idx.long(), row])
        return edge_index

    @property
    def T(self) -> "Graph":
        """The graph with every edge reversed; shares all memory, edge ids and weights."""
        cols = self.expect_cols("T")
        return Graph(cols, self.rows, self.num_cols, self.num_rows, self.weight)

    def reorder(self) -> "Reordering":
        """The same graph with its nodes renumbered so that neighbours are close together.

        Neighbouring rows then read the same columns at about the same time, from cache instead of
        memory: most of what a graph whose numbering says nothing loses. Nodes are clustered bottom
        up by modularity and placed top down, in time and memory proportional to the edges; see
        `neighborgraph.graph.locality`. Equal graphs have equal orders, on CPU and GPU. Weights have
        no part in it.

        Edges keep their numbers, so whatever is in the caller's edge order (weights, a bias, edge
        vectors, dropout) stays valid as it is. What is per node goes through `Reordering.apply`,
        and results come back through `Reordering.restore`. Each row walks its edges in ascending
        order of their sources: a sum may be rounded differently, and `sample` draws other
        neighbours, from the same distribution.

        Raises:
            InputError: The graph is bipartite, so that sources and receivers are different nodes.
        """
        size = expect_same_sizes(self.num_cols, self.num_rows, "reorder")
        row = torch.arange(size, dtype=torch.int32, device=self.device)
        row = row.repeat_interleave(self.degree, output_size=self.num_edges)
        permutation = locality_order(row, self.rows.idx, size)
        position = inverse(permutation)
        source, receiver = position[self.edge_index]
        edge_id = (receiver * size + source).sort(stable=True).indices
        edge_index = torch.stack([source, receiver]).index_select(1, edge_id)
        graph = Graph.from_trusted_edge_index(
            edge_index, (size, size), transpose=self.cols is not None
        )

        def with_own_ids(csr: Csr) -> Csr:
            return csr._replace(edge_id=edge_id[csr.edge_id].int())

        graph = replace(
            graph,
            rows=with_own_ids(graph.rows),
            cols=None if graph.cols is None else with_own_ids(graph.cols),
            weight=self.weight,
        )
        return Reordering(graph, permutation, position)

    def expect_cols(self, user: str) -> Csr:
        """The transpose, or an error that names who needs it."""
        if self.cols is None:
            raise InputError(
                f"{user} needs the graph's transpose, but graph was built with transpose=False; "
                "build it with transpose=True"
            )
        return self.cols

    def to(self, device: torch.device | str) -> "Graph":
        """The same graph on another device."""

        def move(csr: Csr) -> Csr:
            return Csr(*(t.to(device) for t in csr))

        return replace(
            self,
            rows=move(self.rows),
            cols=None if self.cols is None else move(self.cols),
            weight=None if self.weight is None else self.weight.to(device),
        )

    def __repr__(self) -> str:
        weight = "" if self.weight is None else ", weighted"
        return (
            f"Graph({self.num_cols} sources -> {self.num_rows} receivers, "
            f"{self.num_edges} edges{weight}, {self.device})"
        )


@dataclass(frozen=True, eq=False)
class Reordering:
    """A graph whose nodes were renumbered, and the way there and back; see `Graph.reorder`.

    Attributes:
        graph: The renumbered graph, whose edges have the numbers that they had.
        permutation: [n] int64, the old id of each new node.
        position: [n] int64, the new id of each old node: ``position[ids]`` translates ids.
    """

    graph: Graph
    permutation: Tensor
    position: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """Features, labels or a mask [n, ...] of the old nodes, in the new order.

        Raises:
            InputError: ``x`` has not one row a node.
            DeviceError: ``x`` is on another device than the graph.
        """
        return self._taken("x", x, self.permutation)

    def restore(self, y: Tensor) -> Tensor:
        """Results [n, ...] of the new nodes, in the old order: undoes `apply`.

        Raises:
            InputError: ``y`` has not one row a node.
            DeviceError: ``y`` is on another device than the graph.
        """
        return self._taken("y", y, self.position)

    def _taken(self, name: str, values: Tensor, rows: Tensor) -> Tensor:
        """Rows of one value a node."""
        expect_tensor(name, values)
        others = ["..."] * (values.dim() - 1)
        expect_shape(name, values, (rows.numel(), *others), "one row a node")
        expect_same_device(**{"graph": rows, name: values})
        return values.index_select(0, rows)
