"""LargeGT: a node attends to a sample of what is near, and to all that is far by few centroids."""

import argparse
from pathlib import Path

import torch

from neighborgraph.data import load
from neighborgraph.models import LargeGT, LargeGTGlobal, LargeGTLocal
from neighborgraph.tasks import SampledClassification, fit
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tiny", action="store_true", help="a small made-up graph, few epochs")
parser.add_argument("--dataset", default="ogbn-products")
parser.add_argument("--data-root", type=Path, help="default: $NEIGHBORGRAPH_DATA or data")
parser.add_argument("--features", choices=["device", "host"], default="device", help="their memory")
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
options = parser.parse_args()

dataset = load("tiny" if options.tiny else options.dataset, options.data_root)
width, codes = (16, 8) if options.tiny else (256, 4096)
of_all = {"num_nodes": dataset.graph.num_rows, "global_channels": width // 4, "codes": codes}
for kind, more in ((LargeGT, of_all), (LargeGTLocal, {}), (LargeGTGlobal, of_all)):
    torch.manual_seed(0)
    model = kind(
        in_channels=dataset.x.shape[1],
        hidden_channels=width,
        out_channels=dataset.num_classes,
        **more,
    ).to(options.device)
    task = SampledClassification(
        dataset,
        nodes=8 if options.tiny else 100,
        position_channels=model.position_channels,
        precision="bfloat16" if options.device.startswith("cuda") else "float32",
        features=options.features,
        device=options.device,
    )
    fitted = fit(
        model,
        task,
        optimizer=OptimizerSettings(lr=0.01 if options.tiny else 0.001),
        training=TrainingSettings(epochs=30, evaluate_every=5),
    )
    accuracy = fitted.metrics["test_acc"]
    print(f"{kind.__name__}: test accuracy {accuracy:.3f} after epoch {fitted.best_epoch}")
