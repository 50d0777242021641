"""A GCN of PyG on features with drawn ones beside them, anew in every epoch."""

import argparse
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch_geometric.data import Data
from torch_geometric.nn.models import GCN

from neighborgraph.data import load
from neighborgraph.models import LocalAugmentation

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tiny", action="store_true", help="a small made-up graph, few epochs")
parser.add_argument("--data-root", type=Path, help="default: $NEIGHBORGRAPH_DATA or data")
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
options = parser.parse_args()

dataset = load("tiny" if options.tiny else "cora", options.data_root)
split = dataset.split(0)
x = (dataset.x / dataset.x.amax()).to(options.device)
y, train = dataset.y.to(options.device), split.train.to(options.device)
data = Data(x=x, edge_index=dataset.graph.edge_index.to(options.device))

augmentation = LocalAugmentation(x.shape[1], concat=1).to(options.device)
augmentation.fit(
    x,
    dataset.graph.to(options.device),
    y,
    train,
    epochs=2 if options.tiny else 10,
    warm_up=10 if options.tiny else 200,
    score_every=5,
)

torch.manual_seed(0)
model = GCN(augmentation.out_channels, 16, 2, dataset.num_classes, dropout=0.5)
model = model.to(options.device)
adam = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for _ in range(20 if options.tiny else 200):
    model.train()
    drawn = augmentation(data)
    scores = model(drawn.x, drawn.edge_index)
    loss = cross_entropy(scores[train], y[train])
    adam.zero_grad()
    loss.backward()
    adam.step()

model.eval()
with torch.no_grad():
    # The mean over several draws is steadier than one.
    draws = [augmentation(data) for _ in range(10)]
    scores = torch.stack([model(d.x, d.edge_index).softmax(-1) for d in draws]).mean(0)
right = scores.argmax(-1).cpu()[split.test] == dataset.y[split.test]
print(f"test accuracy {right.float().mean().item():.3f}")
