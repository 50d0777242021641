"""Our loaders with PyG's rule of time as the default: an edge as late as its seed is looked at.

Ours look at strictly earlier edges unless told otherwise, which PyG's tests do not do.
"""

from typing import Any

import neighborgraph.loader


class NeighborLoader(neighborgraph.loader.NeighborLoader):
    """Around nodes."""

    def __init__(self, *args: Any, temporal_rule: str = "until", **kwargs: Any) -> None:
        super().__init__(*args, temporal_rule=temporal_rule, **kwargs)


class LinkNeighborLoader(neighborgraph.loader.LinkNeighborLoader):
    """Around edges."""

    def __init__(self, *args: Any, temporal_rule: str = "until", **kwargs: Any) -> None:
        super().__init__(*args, temporal_rule=temporal_rule, **kwargs)
