"""Pure functions of a Graph and tensors; the tensors' device decides which code runs."""

from neighborgraph.ops.aggregate import aggregate
from neighborgraph.ops.attend import (
    Additive,
    Dot,
    attend,
    attend_with_lse,
    attend_with_weights,
)
from neighborgraph.ops.neighbor_cache import (
    Hashed,
    Joint,
    Neighbors,
    NeighborTable,
    Recent,
    insert_events,
    insert_neighbors,
    join_neighbors,
    load_table,
    lookup_neighbors,
    save_table,
)
from neighborgraph.ops.precompile import precompile_aggregate, precompile_attend
from neighborgraph.ops.sample import (
    Draw,
    Population,
    TwoHops,
    relabel,
    sample_neighbors,
    sample_two_hops,
)
from neighborgraph.ops.topk import topk

__all__ = [
    "Additive",
    "Dot",
    "Draw",
    "Hashed",
    "Joint",
    "NeighborTable",
    "Neighbors",
    "Population",
    "Recent",
    "TwoHops",
    "aggregate",
    "attend",
    "attend_with_lse",
    "attend_with_weights",
    "insert_events",
    "insert_neighbors",
    "join_neighbors",
    "load_table",
    "lookup_neighbors",
    "precompile_aggregate",
    "precompile_attend",
    "relabel",
    "sample_neighbors",
    "sample_two_hops",
    "save_table",
    "topk",
]
