"""Graph neural networks as neighborhood aggregation, over fused sparse kernels.

A `Graph` says who neighbours whom; `aggregate` and `attend` are functions of a graph and tensors,
on the device the tensors are on. `accelerate` makes a finished PyG model fast, `restore` undoes it.
Layers, models, data sets, tasks and the command line are the sub-packages ``nn``, ``models``,
``data``, ``tasks`` and ``cli``.
"""

from neighborgraph.graph import (
    Graph,
    add_self_loops,
    as_graph,
    load_graph,
    save_graph,
    to_undirected,
)
from neighborgraph.nn import accelerate, restore
from neighborgraph.ops import (
    Additive,
    Dot,
    aggregate,
    attend,
    attend_with_lse,
    attend_with_weights,
)
from neighborgraph.version import __version__

__all__ = [
    "Additive",
    "Dot",
    "Graph",
    "__version__",
    "accelerate",
    "add_self_loops",
    "aggregate",
    "as_graph",
    "attend",
    "attend_with_lse",
    "attend_with_weights",
    "load_graph",
    "restore",
    "save_graph",
    "to_undirected",
]
