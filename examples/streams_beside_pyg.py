"""PyG's TGN and our NAT in one task: the same split, batches, negatives and metrics. On a CPU."""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch_geometric.nn import TransformerConv
from torch_geometric.nn.models.tgn import IdentityMessage, LastAggregator, TGNMemory

from neighborgraph.data import load_events
from neighborgraph.loader import NeighborCache
from neighborgraph.models import NAT
from neighborgraph.tasks import TemporalLinkPrediction, fit
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tiny", action="store_true", help="a small made-up stream, few epochs")
parser.add_argument("--data-root", type=Path, help="default: $NEIGHBORGRAPH_DATA or data")
options = parser.parse_args()
log = load_events("tiny-events" if options.tiny else "uci-messages", options.data_root)
events, WIDTH = log.events, 100


class _Ends(tuple):
    """Nodes, times and vectors of some ends, cut in two by the task."""

    def split(self, first):
        return _Ends(part[:first] for part in self), _Ends(part[first:] for part in self)


class _TGN(nn.Module):
    """PyG's memory and attention with the numbers of its example; it is its own memory, too."""

    def __init__(self):
        super().__init__()
        self.is_capturable = False  # its shapes follow from the values of a batch
        message = IdentityMessage(1, WIDTH, WIDTH), LastAggregator()
        self.tgn = TGNMemory(events.num_nodes, 1, WIDTH, WIDTH, *message)
        self.conv = TransformerConv(WIDTH, WIDTH // 2, heads=2, dropout=0.1, edge_dim=WIDTH + 1)
        self.head = nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))
        self.cache = NeighborCache(events.num_nodes, size=10)

    def memory(self, num_nodes, **_) -> Any:
        return self

    def tensors(self):
        return {}

    def reset(self):
        self.tgn.reset_state()
        self.cache.reset_state()

    def look(self, memory, node, time, feature):
        self.tgn.detach()
        n_id, edge_index, e_id = self.cache(node.unique())
        z, last_update = self.tgn(n_id)
        code = self.tgn.time_enc((last_update[edge_index[0]] - events.time[e_id]).float())
        z = self.conv(z, edge_index, torch.cat([code, torch.zeros(len(e_id), 1)], dim=1))
        return _Ends((node, time, z[torch.searchsorted(n_id, node)]))

    def forward(self, source, destination):
        times = len(destination[0]) // len(source[0])
        pair = torch.cat([source[2].repeat(times, 1), destination[2]], dim=1)
        return self.head(pair).view(times, -1)

    def insert(self, memory, source, destination, event):
        self.tgn.update_state(source[0], destination[0], source[1], torch.zeros(len(event), 1))
        self.cache.insert(source[0], destination[0])


for name, kind, lr in (("TGN of PyG", _TGN, 1e-4), ("NAT", NAT, 1e-3)):
    torch.manual_seed(0)
    model = kind()
    training = TrainingSettings(epochs=2 if options.tiny else 20, patience=5)
    task = TemporalLinkPrediction(events, model, batch_size=100)
    fitted = fit(model, task, optimizer=OptimizerSettings(lr=lr), training=training, label=name)
    ap, auc = (fitted.metrics[f"test_{metric}"] for metric in ("ap", "auc"))
    print(f"{name:<11} test average precision {ap:.4f}, AUC {auc:.4f}, {fitted.seconds:.0f} s")
