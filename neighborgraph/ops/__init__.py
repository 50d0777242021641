"""Pure functions of a Graph and tensors; the tensors' device decides which code runs."""

from neighborgraph.ops.aggregate import aggregate
from neighborgraph.ops.attend import attend, attend_with_lse

__all__ = ["aggregate", "attend", "attend_with_lse"]
