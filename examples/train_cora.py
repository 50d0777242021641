"""DAGNN on Cora with the paper's numbers, through the recipe, the task and the training loop."""

import argparse
from pathlib import Path

import torch

from neighborgraph import models
from neighborgraph.data import load
from neighborgraph.tasks import Checkpoints, NodeClassification, fit, load_recipe

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data-root", type=Path, help="folder that holds Cora/raw")
parser.add_argument("--download", action="store_true", help="fetch Cora when it is not there")
parser.add_argument("--checkpoints", type=Path, help="save here, and continue from here")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--tiny", action="store_true", help="a small made-up graph, 20 epochs")
options = parser.parse_args()

recipe = load_recipe("dagnn", "cora", ["training.epochs=20"] if options.tiny else [])
dataset = load("tiny" if options.tiny else "cora", options.data_root, options.download)

torch.manual_seed(options.seed)
model = models.build("dagnn", dataset.x.shape[1], dataset.num_classes, **recipe.model)
task = NodeClassification(dataset, seed=options.seed, row_normalize=recipe.data.row_normalize)
fitted = fit(
    model,
    task,
    optimizer=recipe.optimizer,
    training=recipe.training,
    checkpoints=None if options.checkpoints is None else Checkpoints(options.checkpoints),
    identity={"seed": options.seed, **recipe.flat()},
    label=dataset.name,
)
print(f"{dataset.name}: test accuracy {fitted.metrics['test_acc']:.1%}", end=" ")
print(f"at epoch {fitted.best_epoch} of {fitted.epochs}, {fitted.seconds:.1f} s")
if recipe.published is not None and not options.tiny:
    figure, _ = recipe.published.metrics["test_acc"]
    print(f"published: {figure:.1%} ({recipe.published.source})")
