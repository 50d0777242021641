"""The library in thirty lines: a graph, a model, and a training on handwritten digits."""

import argparse

import torch
import torch.nn.functional as F

from neighborgraph.data import load
from neighborgraph.graph import add_self_loops
from neighborgraph.models import DAGNN
from neighborgraph.tasks import accuracy

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tiny", action="store_true", help="a small made-up graph, few epochs")
tiny = parser.parse_args().tiny

torch.manual_seed(0)
digits = load("tiny" if tiny else "digits")
split = digits.split(seed=0)
graph = add_self_loops(digits.graph)  # every image is its own neighbour, too
print(graph)

model = DAGNN(
    in_channels=digits.x.shape[1],
    hidden_channels=64,
    out_channels=digits.num_classes,
    hops=10,
    dropout=0.5,
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)

for epoch in range(1, (20 if tiny else 100) + 1):
    model.train()
    optimizer.zero_grad()
    scores = model(digits.x, graph)
    loss = F.cross_entropy(scores[split.train], digits.y[split.train])
    loss.backward()
    optimizer.step()
    if epoch % 20 == 0:
        model.eval()
        with torch.no_grad():
            scores = model(digits.x, graph)
        test = accuracy(scores[split.test], digits.y[split.test])
        print(f"epoch {epoch:3d}: loss {loss.item():.3f}, test accuracy {test:.1%}")
