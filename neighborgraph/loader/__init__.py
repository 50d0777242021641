"""Mini-batches behind PyG's loaders: neighbours are sampled by our operators, on CPU or GPU.

Importing this package imports PyG.
"""

from neighborgraph.loader.link_neighbor_loader import LinkNeighborLoader
from neighborgraph.loader.neighbor_loader import NeighborLoader
from neighborgraph.loader.sampler import NeighborSampler

__all__ = ["LinkNeighborLoader", "NeighborLoader", "NeighborSampler"]
