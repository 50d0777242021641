"""Tasks (split, loss, metric), recipes (numbers) and the one training loop."""

from neighborgraph.tasks.augmented import AugmentedClassification, SubstitutedClassification
from neighborgraph.tasks.base import Evaluation, Task
from neighborgraph.tasks.checkpoint import Checkpoints
from neighborgraph.tasks.consistency import ConsistentClassification, consistency_loss
from neighborgraph.tasks.fit import Fitted, fit
from neighborgraph.tasks.link_prediction import LinkPrediction
from neighborgraph.tasks.metrics import accuracy
from neighborgraph.tasks.mixture import BinaryMixtureClassification, MixtureClassification
from neighborgraph.tasks.node_classification import NodeClassification
from neighborgraph.tasks.ranked_link_prediction import RankedLinkPrediction
from neighborgraph.tasks.ranker import Ranker
from neighborgraph.tasks.ranking import RankingMetrics, evaluate_ranking, rows_of
from neighborgraph.tasks.recipe import Recipe, load_recipe
from neighborgraph.tasks.recommendation import Recommendation
from neighborgraph.tasks.sampled_classification import SampledClassification
from neighborgraph.tasks.temporal_link_prediction import TemporalLinkPrediction
from neighborgraph.tasks.temporal_node_classification import TemporalNodeClassification

__all__ = [
    "AugmentedClassification",
    "BinaryMixtureClassification",
    "Checkpoints",
    "ConsistentClassification",
    "Evaluation",
    "Fitted",
    "LinkPrediction",
    "MixtureClassification",
    "NodeClassification",
    "RankedLinkPrediction",
    "Ranker",
    "RankingMetrics",
    "Recipe",
    "Recommendation",
    "SampledClassification",
    "SubstitutedClassification",
    "Task",
    "TemporalLinkPrediction",
    "TemporalNodeClassification",
    "accuracy",
    "consistency_loss",
    "evaluate_ranking",
    "fit",
    "load_recipe",
    "rows_of",
]
