"""Layers: an op plus its parameters.

The layers that PyG has too are in ``neighborgraph.nn.conv`` and can be imported from here. They
load PyG when first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from neighborgraph.nn.accelerate import Report, accelerate, restore
from neighborgraph.nn.codebook import Codebook
from neighborgraph.nn.codebook_attention import CodebookAttention
from neighborgraph.nn.features import FeatureLinear, Features, feature_dropout, feature_product
from neighborgraph.nn.gated_propagate import GatedPropagate
from neighborgraph.nn.hop_features import hop_features
from neighborgraph.nn.host_memory import empty_on_host
from neighborgraph.nn.joint_neighborhood import JointAttention, JointNeighborhood, JointSum
from neighborgraph.nn.positions import random_projection
from neighborgraph.nn.propagate import (
    KHopPropagate,
    propagate,
    propagate_sum,
    symmetric_scale,
)
from neighborgraph.nn.refresh import Refresh
from neighborgraph.nn.sharded_embedding import ShardedEmbedding
from neighborgraph.nn.time_encoder import TimeEncoder
from neighborgraph.nn.token_attention import TokenAttention

if TYPE_CHECKING:
    from neighborgraph.nn.conv import APPNP as APPNP
    from neighborgraph.nn.conv import GATConv as GATConv
    from neighborgraph.nn.conv import GATv2Conv as GATv2Conv
    from neighborgraph.nn.conv import GCNConv as GCNConv
    from neighborgraph.nn.conv import GINConv as GINConv
    from neighborgraph.nn.conv import GraphConv as GraphConv
    from neighborgraph.nn.conv import LGConv as LGConv
    from neighborgraph.nn.conv import SAGEConv as SAGEConv
    from neighborgraph.nn.conv import TransformerConv as TransformerConv

CONVS = (
    "APPNP",
    "GATConv",
    "GATv2Conv",
    "GCNConv",
    "GINConv",
    "GraphConv",
    "LGConv",
    "SAGEConv",
    "TransformerConv",
)
"""The layers of ``neighborgraph.nn.conv``."""

__all__ = [
    "Codebook",
    "CodebookAttention",
    "FeatureLinear",
    "Features",
    "GatedPropagate",
    "JointAttention",
    "JointNeighborhood",
    "JointSum",
    "KHopPropagate",
    "Refresh",
    "Report",
    "ShardedEmbedding",
    "TimeEncoder",
    "TokenAttention",
    "accelerate",
    "empty_on_host",
    "feature_dropout",
    "feature_product",
    "hop_features",
    "propagate",
    "propagate_sum",
    "random_projection",
    "restore",
    "symmetric_scale",
]


def __getattr__(name: str) -> Any:
    """A layer that PyG has too."""
    if name in CONVS:
        return getattr(importlib.import_module("neighborgraph.nn.conv"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What can be imported from here."""
    return sorted([*globals(), *CONVS])
