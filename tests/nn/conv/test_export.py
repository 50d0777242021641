"""torch.export keeps the kernels, whatever the sizes of the graphs that come later."""

import pytest
import torch

from neighborgraph.nn import GATv2Conv, GCNConv, SAGEConv


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        GATv2Conv(5, 4, share_weights=True),
        GATv2Conv(5, 4, share_weights=True, add_self_loops=False),
        GCNConv(5, 4),
        SAGEConv(5, 4),
    ],
    ids=str,
)
@pytest.mark.parametrize("edges", [30, 3000])
def test_an_exported_layer_is_fused_and_takes_graphs_of_any_size(
    layer, edges: int, strict: bool
) -> None:
    example = torch.randn(90, 5), torch.randint(90, (2, edges))
    dims = {0: torch.export.Dim("n")}, {1: torch.export.Dim("e")}
    exported = torch.export.export(layer, example, dynamic_shapes=dims, strict=strict)
    operators = {
        str(node.target)
        for part in exported.graph_module.modules()
        if isinstance(part, torch.fx.GraphModule)
        for node in part.graph.nodes
    }
    assert "neighborgraph.compress.default" in operators
    assert not any("scatter" in name for name in operators)
    for nodes, count in ((90, edges), (3, 5), (200, 700), (200, 5000)):
        other = torch.randn(nodes, 5), torch.randint(nodes, (2, count))
        torch.testing.assert_close(exported.module()(*other), layer(*other))
