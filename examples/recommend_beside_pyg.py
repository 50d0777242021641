"""Train LightGCN and PyG's from the same start on the same batches, and compare lists and seconds.

python examples/recommend_beside_pyg.py --data-root ~/data   # Last.fm, a few minutes on two cores
python examples/recommend_beside_pyg.py --tiny
python examples/recommend_beside_pyg.py --data gowalla --epochs 20 --evaluate-every 1 --out runs
neighborgraph report runs --plot recall.png --metric test_recall@20
"""

import argparse
from pathlib import Path

import torch
import torch_geometric.nn
from torch import Tensor, nn

from neighborgraph import models
from neighborgraph.bench.history import History, write_history
from neighborgraph.data import load_interactions
from neighborgraph.tasks import Recommendation, fit, load_recipe


class PygLightGCN(nn.Module):
    """PyG's LightGCN with the three methods that the task calls."""

    def __init__(self, ours: models.LightGCN, pairs: Tensor):
        """Take the sizes, the parameters and the negatives of our model."""
        super().__init__()
        self.num_users, self.reg, self.draw = ours.num_users, ours.reg, ours.draw
        sizes = ours.num_nodes, ours.embedding_dim, ours.num_layers
        self.model = torch_geometric.nn.LightGCN(*sizes)
        self.model.load_state_dict(ours.state_dict(), strict=False)
        forth = torch.stack([pairs[0], ours.num_users + pairs[1]])
        self.edge_index = torch.cat([forth, forth.flip(0)], dim=1)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Users and items after propagation."""
        nodes = self.model.get_embedding(self.edge_index)
        return nodes[: self.num_users], nodes[self.num_users :]

    def loss(self, pairs: Tensor, negatives: Tensor) -> Tensor:
        """PyG's loss of a batch."""
        users, items = pairs
        targets = torch.cat([items, negatives]) + self.num_users
        edges = torch.stack([users.repeat(2), targets])
        better, worse = self.model(self.edge_index, edges).chunk(2)
        nodes = torch.cat([users, targets])
        return self.model.recommendation_loss(better, worse, nodes, lambda_reg=self.reg / 2)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", choices=["lastfm", "gowalla"], default="lastfm")
parser.add_argument("--data-root", default="data", help="folder that holds lastfm/ or gowalla/")
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--evaluate-every", type=int, default=10, help="epochs")
parser.add_argument("--out", type=Path, help="keep what each evaluation found, for a plot")
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
parser.add_argument("--tiny", action="store_true", help="5 epochs on made-up interactions")
options = parser.parse_args()

name, recipe_name = ("tiny-interactions", "default") if options.tiny else (options.data,) * 2
epochs = 5 if options.tiny else options.epochs
device = torch.device("cpu" if options.tiny else options.device)
changes = [f"training.epochs={epochs}", f"training.evaluate_every={options.evaluate_every}"]
recipe = load_recipe("lightgcn", recipe_name, [*changes, "training.patience=0"])
data = load_interactions(name, options.data_root).split(seed=0, **vars(recipe.split))
torch.manual_seed(0)
train = data.train.to(device)
ours = models.LightGCN(data.num_users, data.num_items, train, embedding_dim=64, num_layers=3)
theirs = PygLightGCN(ours.to(device), train).to(
    device
)  # copies the parameters before they are trained

for label, model in (("neighborgraph", ours), ("PyG", theirs)):
    batches = {"batch_size": recipe.batches.size, "draw": recipe.batches.draw}
    task = Recommendation(data, **batches, device=device)
    fitted = fit(model, task, optimizer=recipe.optimizer, training=recipe.training)
    recall = fitted.metrics["test_recall@20"]
    print(f"{label:13} test recall@20 {recall:.4f}, epochs {fitted.epochs}, {fitted.seconds:.1f} s")
    if options.out is not None:
        write_history(options.out, History(f"{label}-{name}", 0, fitted.history))
