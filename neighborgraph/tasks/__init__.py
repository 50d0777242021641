"""Tasks (split, loss, metric), recipes (numbers) and the one training loop."""

from neighborgraph.tasks.base import Evaluation, Task
from neighborgraph.tasks.checkpoint import Checkpoints
from neighborgraph.tasks.fit import Fitted, fit
from neighborgraph.tasks.metrics import accuracy
from neighborgraph.tasks.node_classification import NodeClassification
from neighborgraph.tasks.recipe import Recipe, load_recipe

__all__ = [
    "Checkpoints",
    "Evaluation",
    "Fitted",
    "NodeClassification",
    "Recipe",
    "Task",
    "accuracy",
    "fit",
    "load_recipe",
]
