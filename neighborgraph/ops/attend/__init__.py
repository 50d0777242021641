"""attend: every row takes a softmax-weighted mean of its neighbours' values."""

from neighborgraph.ops.attend.op import attend, attend_with_lse

__all__ = ["attend", "attend_with_lse"]
