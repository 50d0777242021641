r"""compress: edges to rows, without a word between the GPU and its host.

`Graph.from_edge_index` asks the GPU how many work items there are, and waits for the answer. A
graph that is used once, such as a mini-batch, cannot afford that, and under ``torch.compile`` a
size must follow from other sizes. So the schedule has the most items that e edges can need, the
surplus being inert (`neighborgraph.graph.schedule.padded`), and self-loops that are replaced stay
in the arrays: they belong to a row n that does not exist, behind the last one.
"""

import torch
from torch import Tensor

from neighborgraph.checks import INDEX_DTYPES, expect_dtype, expect_shape, expect_tensor
from neighborgraph.errors import InputError
from neighborgraph.graph import Csr, Graph
from neighborgraph.graph.schedule import bounds
from neighborgraph.ops.registration import register


def fake_compress(edge_index, num_rows, num_cols, transpose, self_loops):
    """Shapes of compress."""
    edges = edge_index.shape[1] + (num_rows if self_loops else 0)
    extra, splits = bounds(edges)

    def new(count, dtype=torch.int32):
        return edge_index.new_empty(count, dtype=dtype)

    def csr(size):
        ptr, items = new(size + 1, torch.int64), size + extra
        item_first = new(items, torch.int64)
        schedule = new(items), item_first, new(items), new(items), new(splits), new(splits + 1)
        return [ptr, new(edges), new(edges), *schedule]

    return csr(num_rows) + (csr(num_cols) if transpose else [])


# The nine tensors of the Csr over the receivers, and with transpose those over the sources.
compress_csr = register(
    "compress(Tensor edge_index, SymInt num_rows, SymInt num_cols, bool transpose, "
    "bool self_loops) -> Tensor[]",
    module=__name__,
    fake=fake_compress,
)


def compress(
    edge_index: Tensor,
    num_nodes: tuple[int, int],
    *,
    self_loops: bool = False,
    transpose: bool = True,
) -> Graph:
    """Build the graph of an ``edge_index`` on its device, whatever its ids are.

    Ids are checked before they are used. On a GPU nobody waits for the verdict: an id out of range
    stops the device with an assertion, as indexing in Torch does.

    Args:
        edge_index: [2, e] int32 or int64; sources, then receivers.
        num_nodes: (sources m, receivers n).
        self_loops: Every node is its own neighbour once: loops of ``edge_index`` are left out, and
            new ones are numbered e .. e + n - 1, in the order of nodes. Those left out keep their
            numbers, so edge weights have e + n entries.
        transpose: False leaves out the transpose: less work, no backward pass.

    Returns:
        The graph; its schedule is padded.

    Raises:
        InputError: The shape is wrong, or ``self_loops`` are asked of m != n.
        IdError: An id is out of range (on the CPU).
        DtypeError: ids have another type.
    """
    expect_tensor("edge_index", edge_index)
    expect_dtype("edge_index", edge_index, INDEX_DTYPES)
    expect_shape("edge_index", edge_index, (2, "e"))
    num_cols, num_rows = num_nodes
    if self_loops and num_rows != num_cols:
        raise InputError(
            f"self_loops=True needs as many receivers as sources, got {num_rows} and {num_cols}"
        )
    tensors = compress_csr(edge_index, num_rows, num_cols, transpose, self_loops)
    size = len(Csr._fields)
    cols = Csr(*tensors[size:]) if transpose else None
    return Graph(Csr(*tensors[:size]), cols, num_rows, num_cols)
