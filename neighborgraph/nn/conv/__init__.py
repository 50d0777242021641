"""PyG's layers over the fused kernels: the same names, arguments, parameters and results."""

from neighborgraph.nn.conv.appnp import APPNP
from neighborgraph.nn.conv.fused import Path
from neighborgraph.nn.conv.gat_conv import GATConv
from neighborgraph.nn.conv.gatv2_conv import GATv2Conv
from neighborgraph.nn.conv.gcn_conv import GCNConv
from neighborgraph.nn.conv.gin_conv import GINConv
from neighborgraph.nn.conv.graph_conv import GraphConv
from neighborgraph.nn.conv.lg_conv import LGConv
from neighborgraph.nn.conv.sage_conv import SAGEConv
from neighborgraph.nn.conv.transformer_conv import TransformerConv

__all__ = [
    "APPNP",
    "GATConv",
    "GATv2Conv",
    "GCNConv",
    "GINConv",
    "GraphConv",
    "LGConv",
    "Path",
    "SAGEConv",
    "TransformerConv",
]
