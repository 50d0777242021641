"""Launch the planted defect whose name is the first argument."""

import sys
from pathlib import Path

import torch

from neighborgraph.jit import Instance
from neighborgraph.jit.arch import arch_of
from neighborgraph.jit.compile import compile_instances
from neighborgraph.jit.launch import Kernel

if __name__ == "__main__":
    name, device = sys.argv[1], torch.device("cuda", 0)
    compiled = compile_instances("defects.cu", [name], arch_of(device), Path(__file__).parent)
    x = torch.empty(64, device=device)
    Kernel(Instance("defects.cu", name), compiled[name], 0).launch(1, 128, x, 64)
    torch.cuda.synchronize()
