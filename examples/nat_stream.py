"""NAT serves a live stream: it is asked who will meet before it is told who did."""

import argparse
import time
from pathlib import Path

import torch

from neighborgraph.data import load_events
from neighborgraph.models import NAT
from neighborgraph.tasks import TemporalLinkPrediction, fit
from neighborgraph.tasks.metrics import average_precision
from neighborgraph.tasks.settings import OptimizerSettings, TrainingSettings

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tiny", action="store_true", help="a small made-up stream, few epochs")
parser.add_argument("--data-root", type=Path, help="default: $NEIGHBORGRAPH_DATA or data")
parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
options = parser.parse_args()

# Learn from the first 70 % of the events, and choose an epoch by the next 15 %.
torch.manual_seed(0)
log = load_events("tiny-events" if options.tiny else "uci-messages", options.data_root)
model = NAT().to(options.device)
fit(
    model,
    TemporalLinkPrediction(log.events, model, device=options.device),
    optimizer=OptimizerSettings(lr=1e-2 if options.tiny else 1e-3),
    training=TrainingSettings(epochs=2 if options.tiny else 10),
)

# Go live: a memory that has seen what training saw, in batches of any size.
model.eval()
events = log.events.to(options.device)
split = events.split()
memory = model.memory(events.num_nodes, time_dtype=events.time.dtype, device=options.device)


@torch.no_grad()
def serve(batch, candidates: torch.Tensor) -> torch.Tensor:
    """[1 + R, b] scores of what happens and of R candidates [R, b] each; then it happens."""
    nodes = torch.cat([batch.source, batch.destination, candidates.flatten()])
    ends = model.look(memory, nodes, batch.time.repeat(2 + len(candidates)))
    sources, others = ends.split(len(batch))
    scores = model(sources, others)
    model.insert(memory, sources, others.split(len(batch))[0], batch.event)
    return scores


def stream(events, rivals: int) -> list[torch.Tensor]:
    """The scores of each batch of 100 events, every event beside so many drawn candidates."""
    drawn = torch.randint(log.events.num_nodes, (rivals, len(events)), device=options.device)
    parts = zip(events.batches(100), drawn.split(100, dim=1), strict=True)
    return [serve(batch, candidates) for batch, candidates in parts]


stream(split.train, rivals=0)
stream(split.val, rivals=0)
begin = time.perf_counter()
scores = torch.cat(stream(split.test, rivals=9), dim=1).cpu()  # .cpu() waits for the device
seconds = time.perf_counter() - begin

first = (scores[0] > scores[1:].amax(dim=0)).double().mean().item()
print(f"events inserted a second:  {len(split.test) / seconds:10,.0f}")
print(f"questions answered:        {scores.numel() / seconds:10,.0f} a second")
print(f"average precision of an event beside one rival: {average_precision(*scores[:2]):.3f}")
print(f"events ahead of all 9 rivals: {first:.1%}")
