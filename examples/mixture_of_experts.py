"""Mowst* of an MLP and a GCN of PyG, on a graph whose neighbours often mislead."""

import argparse
from pathlib import Path

import torch
from torch_geometric.nn.models import GCN, MLP

from neighborgraph.data import load
from neighborgraph.models import MowstStarModel
from neighborgraph.tasks import MixtureClassification, fit
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings, TurnSettings

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tiny", action="store_true", help="a small made-up graph, few epochs")
parser.add_argument("--data-root", type=Path, help="default: $NEIGHBORGRAPH_DATA or data")
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
options = parser.parse_args()

dataset = load("tiny" if options.tiny else "minesweeper", options.data_root)
width, classes = dataset.x.shape[1], dataset.num_classes
torch.manual_seed(0)
model = MowstStarModel(
    weak=MLP([width, 64, classes], dropout=0.5),
    strong=GCN(width, 64, num_layers=2, out_channels=classes, dropout=0.5),
).to(options.device)
fitted = fit(
    model,
    MixtureClassification(dataset, turns=TurnSettings(pretrain="strong"), device=options.device),
    optimizer=OptimizerSettings(lr=0.01, weight_decay=5e-4),
    training=TrainingSettings(epochs=20 if options.tiny else 1000, patience=100),
)
print(f"test accuracy {fitted.metrics['test_acc']:.3f} after epoch {fitted.best_epoch}")
print(f"of the MLP alone {fitted.metrics['weak_test_acc']:.3f}")
print(f"of the GCN alone {fitted.metrics['strong_test_acc']:.3f}")
print(f"mean confidence in the MLP {fitted.metrics['confidence']:.3f}")
