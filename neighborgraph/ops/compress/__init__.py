"""compress: edges to rows, with shapes that do not depend on the edges' values."""

from neighborgraph.ops.compress.op import compress

__all__ = ["compress"]
