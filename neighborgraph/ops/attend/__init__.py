"""attend: every row takes a softmax-weighted mean of its neighbours' values."""

from neighborgraph.ops.attend.op import attend, attend_with_lse, attend_with_weights
from neighborgraph.ops.attend.score import Additive, Dot

__all__ = ["Additive", "Dot", "attend", "attend_with_lse", "attend_with_weights"]
