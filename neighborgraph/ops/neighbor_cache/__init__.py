"""neighbor_cache: tables of neighbours, written as events happen and read as of a time."""

from neighborgraph.ops.neighbor_cache.file import load_table, save_table
from neighborgraph.ops.neighbor_cache.op import (
    Joint,
    Neighbors,
    insert_events,
    insert_neighbors,
    join_neighbors,
    lookup_neighbors,
)
from neighborgraph.ops.neighbor_cache.table import Hashed, NeighborTable, Recent

__all__ = [
    "Hashed",
    "Joint",
    "NeighborTable",
    "Neighbors",
    "Recent",
    "insert_events",
    "insert_neighbors",
    "join_neighbors",
    "load_table",
    "lookup_neighbors",
    "save_table",
]
