"""LightGCN or UltraGCN on Gowalla with the paper's numbers, and the best places for a few users."""

import argparse
from pathlib import Path

import torch

from neighborgraph import models
from neighborgraph.data import load_interactions
from neighborgraph.tasks import Checkpoints, Ranker, Recommendation, fit, load_recipe

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", choices=["lightgcn", "ultragcn"], default="lightgcn")
parser.add_argument("--data-root", type=Path, help="folder that holds gowalla/train.txt")
parser.add_argument("--checkpoints", type=Path, help="save here, and continue from here")
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--tiny", action="store_true", help="a small made-up set, 20 epochs, CPU")
options = parser.parse_args()
device = torch.device("cpu" if options.tiny else options.device)

recipe = load_recipe(options.model, "gowalla", ["training.epochs=20"] if options.tiny else [])
name = "tiny-interactions" if options.tiny else "gowalla"
data = load_interactions(name, options.data_root).split(0, **vars(recipe.split))

torch.manual_seed(0)
train = data.train.to(device)
model = models.build_recommender(
    options.model, data.num_users, data.num_items, train, **recipe.model
).to(device)
task = Recommendation(data, batch_size=recipe.batches.size, draw=recipe.batches.draw, device=device)
fitted = fit(
    model,
    task,
    optimizer=recipe.optimizer,
    training=recipe.training,
    checkpoints=None if options.checkpoints is None else Checkpoints(options.checkpoints),
    identity=recipe.flat(),
    label=name,
)
recall, ndcg = (fitted.metrics[f"test_{metric}@20"] for metric in ("recall", "ndcg"))
print(f"{name}: recall@20 {recall:.4f}, NDCG@20 {ndcg:.4f}", end=" ")
print(f"at epoch {fitted.best_epoch} of {fitted.epochs}, {fitted.seconds:.1f} s")
if recipe.published is not None and not options.tiny:
    figures = ", ".join(f"{figure:.4f}" for figure, _ in recipe.published.metrics.values())
    print(f"published: {figures} ({recipe.published.source})")

ranker = Ranker.of(*task.embeddings(model), data)
users = torch.arange(3, device=device)
_, items = ranker.recommend(users, k=5)
for user, best in zip(users.tolist(), items.tolist(), strict=True):
    listed = ", ".join(str(data.item_ids[item]) for item in best if item >= 0)
    print(f"user {data.user_ids[user]}: {listed}")
