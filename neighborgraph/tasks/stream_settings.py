"""What a recipe says about link prediction in a stream beside optimizer and training."""

from dataclasses import dataclass

from neighborgraph.tasks.settings import number


@dataclass(frozen=True)
class StreamSettings:
    """How a stream is cut, learned and judged; the arguments of `TemporalLinkPrediction`.

    A stream with a publisher's negatives is judged by these alone: see `RankedLinkPrediction`.
    """

    batch_size: int = number(low=1, default=100)
    """Events a step, and events at once where the past is replayed."""
    judged_size: int = number(low=1, default=32)
    """Events at once, and in a mean, where scores are judged."""
    hidden: float = number(low=0, high=0.9, default=0.0)
    """Fraction of the nodes that training does not see; 0 hides none."""
    ranked: int = number(low=0, default=100)
    """Negatives that each event of the test is ranked among once training has ended."""


@dataclass(frozen=True)
class PublishedStream:
    """What is reported for link prediction in this stream."""

    test_ap: float = number(low=0, high=1)
    std: float = number(low=0, high=1)
    source: str = ""

    @property
    def metrics(self) -> dict[str, tuple[float, float | None]]:
        """Name as in a record to figure and standard deviation."""
        return {"test_ap": (self.test_ap, self.std)}
