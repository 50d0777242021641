"""topk: the best items of each user, without a matrix of users times items."""

from neighborgraph.ops.topk.op import topk

__all__ = ["topk"]
