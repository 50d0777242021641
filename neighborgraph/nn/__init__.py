"""Layers: an op plus its parameters."""

from neighborgraph.nn.features import FeatureLinear, Features, feature_dropout
from neighborgraph.nn.hop_gate import HopGate
from neighborgraph.nn.propagate import (
    KHopPropagate,
    propagate,
    propagate_sum,
    symmetric_scale,
)

__all__ = [
    "FeatureLinear",
    "Features",
    "HopGate",
    "KHopPropagate",
    "feature_dropout",
    "propagate",
    "propagate_sum",
    "symmetric_scale",
]
