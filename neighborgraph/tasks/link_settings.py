"""What a recipe says about link prediction beside optimizer and training."""

from dataclasses import dataclass

from neighborgraph.tasks.negatives import NEGATIVES
from neighborgraph.tasks.settings import choice, number


@dataclass(frozen=True)
class LinkSettings:
    """How links are learned and judged."""

    batch_size: int = number(low=1, default=65_536)
    """Edges a step."""
    negatives: str = choice(*NEGATIVES)
    """A key of ``NEGATIVES``: what the edges of a step are told from."""
    validation_edges: bool = False
    """Whether validation edges are input when the test is judged, where the publisher allows it."""


@dataclass(frozen=True)
class PredictorSettings:
    """The arguments of `LinkPredictor`."""

    hidden_channels: int = number(low=1, default=256)
    layers: int = number(low=1, default=2)
    dropout: float = number(low=0, high=1, default=0.0)


@dataclass(frozen=True)
class PublishedLinks:
    """What is reported for link prediction on this data set."""

    test: float = number(low=0, high=1)
    std: float = number(low=0, high=1)
    metric: str = choice("hits@20", "hits@50", "mrr")
    source: str = ""

    @property
    def metrics(self) -> dict[str, tuple[float, float | None]]:
        """Name as in a record to figure and standard deviation."""
        return {f"test_{self.metric}": (self.test, self.std)}
