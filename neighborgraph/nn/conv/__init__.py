"""PyG's layers over the fused kernels: the same names, arguments, parameters and results."""

from neighborgraph.nn.conv.fused import Path
from neighborgraph.nn.conv.gat_conv import GATConv
from neighborgraph.nn.conv.transformer_conv import TransformerConv

__all__ = ["GATConv", "Path", "TransformerConv"]
