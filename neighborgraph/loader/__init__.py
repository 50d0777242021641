"""Mini-batches behind PyG's loaders: neighbours are sampled or remembered by our operators.

Importing this package imports PyG.
"""

from neighborgraph.loader.link_neighbor_loader import LinkNeighborLoader
from neighborgraph.loader.neighbor_cache import NeighborCache
from neighborgraph.loader.neighbor_loader import NeighborLoader
from neighborgraph.loader.sampler import NeighborSampler

__all__ = ["LinkNeighborLoader", "NeighborCache", "NeighborLoader", "NeighborSampler"]
