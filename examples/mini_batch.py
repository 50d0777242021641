"""GraphSAGE on mini-batches: neighbours sampled by our loader, everything else PyG's."""

import argparse

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.nn import GraphSAGE

from neighborgraph.data import load
from neighborgraph.loader import NeighborLoader
from neighborgraph.tasks import accuracy

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--device", default="cpu", help="cpu, or cuda to sample on the GPU")
parser.add_argument("--tiny", action="store_true", help="a small made-up graph, few epochs")
options = parser.parse_args()

torch.manual_seed(0)
digits = load("tiny" if options.tiny else "digits")
split = digits.split(seed=0)
data = Data(x=digits.x, y=digits.y, edge_index=digits.graph.edge_index).to(options.device)

# What is sampled is where the data is, and the same for any device and number of workers.
common = {"num_neighbors": [10, 5], "batch_size": 64, "seed": 0}
train_loader = NeighborLoader(data, input_nodes=split.train, shuffle=True, **common)
test_loader = NeighborLoader(data, input_nodes=split.test, **common)

model = GraphSAGE(
    in_channels=digits.x.shape[1],
    hidden_channels=64,
    num_layers=2,
    out_channels=digits.num_classes,
    dropout=0.5,
).to(options.device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for epoch in range(1, (2 if options.tiny else 20) + 1):
    model.train()
    losses = []
    for batch in train_loader:
        optimizer.zero_grad()
        scores = model(batch.x, batch.edge_index)[: batch.batch_size]  # seeds come first
        loss = F.cross_entropy(scores, batch.y[: batch.batch_size])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch:2d}: loss {sum(losses) / len(losses):.3f}")

model.eval()
with torch.no_grad():
    batches = list(test_loader)
    scores = [model(batch.x, batch.edge_index)[: batch.batch_size] for batch in batches]
    labels = [batch.y[: batch.batch_size] for batch in batches]
print(f"test accuracy {accuracy(torch.cat(scores), torch.cat(labels)):.1%}")
