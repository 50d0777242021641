"""Who neighbours whom: the immutable Graph, the ways to build one, and Events in time."""

from neighborgraph.graph.build import add_self_loops, to_undirected
from neighborgraph.graph.convert import as_graph
from neighborgraph.graph.csr import Csr, Graph, Reordering
from neighborgraph.graph.events import Events, EventSplit
from neighborgraph.graph.file import load_graph, save_graph

__all__ = [
    "Csr",
    "EventSplit",
    "Events",
    "Graph",
    "Reordering",
    "add_self_loops",
    "as_graph",
    "load_graph",
    "save_graph",
    "to_undirected",
]
