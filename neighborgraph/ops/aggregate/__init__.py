"""aggregate: every row reduces its neighbours' features."""

from neighborgraph.ops.aggregate.op import aggregate

__all__ = ["aggregate"]
