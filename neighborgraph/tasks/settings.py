"""Settings: what each section of a recipe may say, as fields with ranges."""

import math
from dataclasses import MISSING, dataclass, field
from typing import Any

from neighborgraph.data.interaction_log import METHODS
from neighborgraph.data.interactions import PROTOCOLS
from neighborgraph.tasks.pairs import SAMPLERS


def number(
    low: float = -math.inf, high: float = math.inf, default: Any = MISSING, optional: bool = False
) -> Any:
    """A field with an allowed range [low, high]; an optional one may be None, which is absent."""
    metadata = {"low": low, "high": high}
    if optional:
        return field(default=None, metadata=metadata)
    return field(default=default, metadata=metadata)


def choice(*values: str) -> Any:
    """A field with one of ``values``, the first when nothing is said."""
    return field(default=values[0], metadata={"values": values})


@dataclass(frozen=True)
class DataSettings:
    """How the features enter."""

    row_normalize: bool = False
    """Divide each node's features by their sum."""


@dataclass(frozen=True)
class SplitSettings:
    """How interactions are split; the arguments of `InteractionLog.split`."""

    protocol: str = choice(*PROTOCOLS)
    """``validation`` carves a part out of train to select by; ``published`` selects by the test."""
    method: str = choice(*METHODS)
    """How to make a test part where the data set has none."""
    test: float = number(low=0, high=1, default=0.2)
    val: float = number(low=0, high=1, default=0.1)
    k_core: int = number(low=0, default=0)


@dataclass(frozen=True)
class BatchSettings:
    """How pairs are drawn and gathered into steps."""

    size: int = number(low=1, default=2048)
    """Pairs a step."""
    draw: str = choice(*SAMPLERS)
    """``users`` draws a user and one of its items; ``edges`` takes every pair once, shuffled."""


@dataclass(frozen=True)
class OptimizerSettings:
    """Adam's numbers; the weight decay is its L2 term, on all parameters."""

    lr: float = number(low=0, high=1e6)
    weight_decay: float = number(low=0, high=1e6, default=0.0)


@dataclass(frozen=True)
class TrainingSettings:
    """How long to train."""

    epochs: int = number(low=0)
    window: int = number(low=0, default=0)
    """Stop when, after half of the epochs, the validation loss exceeds its mean over this many
    epochs before; 0 never stops."""
    patience: int = number(low=0, default=0)
    """Stop after this many epochs without a better validation loss; 0 never stops."""
    evaluate_every: int = number(low=1, default=1)
    """Epochs between evaluations; the last epoch is always followed by one."""
    checkpoint_every: int = number(low=1, default=100)
    """Epochs between checkpoints."""

    def evaluates(self, epoch: int) -> bool:
        """Whether the model is evaluated after so many epochs."""
        return epoch % self.evaluate_every == 0 or epoch == self.epochs


PRETRAINED = {"none": (), "weak": ("weak",), "strong": ("strong",), "both": ("strong", "weak")}
"""The word in a recipe to the experts that learn alone first, in this order."""


@dataclass(frozen=True)
class TurnSettings:
    """How the experts of a mixture take turns; see `MixtureClassification`."""

    pretrain: str = choice(*PRETRAINED)
    """Which experts learn alone first."""
    patience: int = number(low=1, default=100)
    """A turn ends after this many epochs without a better validation."""
    idle_rounds: int = number(low=1, default=10)
    """Training ends after this many rounds of turns without a gain."""
    select: str = choice("loss", "metric")
    """What the validation nodes are judged by."""


@dataclass(frozen=True)
class GeneratorSettings:
    """How local augmentation learns its generator; see `LocalAugmentation.fit`."""

    epochs: int = number(low=1, default=10)
    """Passes over all edges."""
    batch_size: int = number(low=1, default=64)
    """Pairs a step."""
    lr: float = number(low=0, high=1e6, default=0.01)
    warm_up: int = number(low=0, default=200)
    """Steps before the first score."""
    predictions: int = number(low=1, default=100)
    """Predictions a score is made of."""
    score_every: int = number(low=1, default=5)
    """Steps between scores."""


@dataclass(frozen=True)
class ConsistencySettings:
    """How far the predictions from several drawn feature sets must agree."""

    samples: int = number(low=1, default=4)
    """Samples drawn for each step."""
    temperature: float = number(low=1e-3, high=1e3, default=0.5)
    """What their mean is sharpened with."""
    weight: float = number(low=0, high=1e6, default=1.0)
    """Factor of the consistency loss."""


@dataclass(frozen=True)
class SamplingSettings:
    """How many nodes are seen, and how many are classified at a time."""

    nodes: int = number(low=1, default=50)
    """K, a node and K - 1 others around it."""
    batch_size: int = number(low=2, default=1024)
    precision: str = choice("float32", "bfloat16")
    """Of features and positions, and of a model's products; what is learned is float32."""
    features: str = choice("device", "host")
    """Whose memory holds them and positions; a GPU gathers from the host's over the bus."""


@dataclass(frozen=True)
class Published:
    """What the paper reports for node classification on this data set."""

    test_acc: float = number(low=0, high=1)
    std: float = number(low=0, high=1)
    source: str = ""

    @property
    def metrics(self) -> dict[str, tuple[float, float | None]]:
        """Name as in a record to figure and standard deviation."""
        return {"test_acc": (self.test_acc, self.std)}


@dataclass(frozen=True)
class PublishedRanking:
    """What the paper reports for recommendation on this data set."""

    recall_20: float = number(low=0, high=1)
    ndcg_20: float = number(low=0, high=1)
    source: str = ""

    @property
    def metrics(self) -> dict[str, tuple[float, float | None]]:
        """Name as in a record to figure and standard deviation, which papers do not give."""
        return {"test_recall@20": (self.recall_20, None), "test_ndcg@20": (self.ndcg_20, None)}
