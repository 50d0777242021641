"""Who neighbours whom: the immutable Graph and the ways to build one."""

from neighborgraph.graph.build import add_self_loops, to_undirected
from neighborgraph.graph.convert import as_graph
from neighborgraph.graph.csr import Csr, Graph
from neighborgraph.graph.file import load_graph, save_graph

__all__ = [
    "Csr",
    "Graph",
    "add_self_loops",
    "as_graph",
    "load_graph",
    "save_graph",
    "to_undirected",
]
