"""What is measured: the default cases of each device, and those that options ask for."""

from collections.abc import Sequence
from dataclasses import dataclass

from neighborgraph.bench.attention import Attention
from neighborgraph.bench.graphs import full_name
from neighborgraph.bench.layers import ConvLayer
from neighborgraph.bench.models import WholeModel
from neighborgraph.bench.peers import TOLERANCES
from neighborgraph.bench.reduction import Reduction
from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError

Form = Attention | Reduction | ConvLayer | WholeModel
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in TOLERANCES}
PARSERS = {
    "attend": Attention.parse,
    "aggregate": Reduction.parse,
    "layers": ConvLayer.parse,
    "models": WholeModel.parse,
}
"""From the name of a form to the form, by operator."""
OPERATORS = ("attend", "aggregate")
"""What is measured when nothing is named."""


@dataclass(frozen=True)
class Case:
    """One form of an operator, a layer or a model on one graph; it gives [nodes, heads, width]."""

    op: str
    graph: str
    form: str
    dtype: str
    heads: int
    width: int

    @property
    def parsed(self) -> Form:
        """The form behind its name."""
        return PARSERS[self.op](self.form)

    def __str__(self) -> str:
        return f"{self.op} {self.form} on {self.graph}, {self.dtype} {self.heads}x{self.width}"


SINGLE = {
    ("cpu", "attend"): Case("attend", "power-law-clustered", "dot", "float32", 4, 16),
    ("cpu", "aggregate"): Case("aggregate", "power-law-clustered", "sum", "float32", 4, 16),
    ("cuda", "attend"): Case("attend", "arxiv-clustered", "dot", "float16", 4, 32),
    ("cuda", "aggregate"): Case("aggregate", "arxiv-clustered", "sum", "float32", 1, 64),
    ("cpu", "layers"): Case("layers", "power-law-clustered", "TransformerConv", "float32", 4, 32),
    ("cuda", "layers"): Case("layers", "arxiv-clustered", "TransformerConv", "float32", 4, 32),
    ("cpu", "models"): Case("models", "power-law-clustered", "DAGNN", "float32", *WholeModel.shape),
    ("cuda", "models"): Case("models", "arxiv-clustered", "DAGNN", "float32", *WholeModel.shape),
}
"""What takes the place of an option that was not typed where another was."""

SCORES = ("dot", "dot+edge", "dot+bias", "dot+dropout", "gat", "gatv2", "gatv2+edge")
REDUCTIONS = ("sum", "mean", "max", "weighted", "softmax")
MODELS = ("DAGNN", "GCN", "GraphSAGE", "GAT")
LAYERS = ("TransformerConv", "GCNConv", "SAGEConv", "GINConv", "GATConv", "GATv2Conv")


def attend(graph: str, heads: int, width: int, form: str = "dot") -> Case:
    """A case of attend on a GPU."""
    return Case("attend", graph, form, "float16", heads, width)


def aggregate(graph: str, form: str = "sum", width: int = 64) -> Case:
    """A case of aggregate on a GPU."""
    return Case("aggregate", graph, form, "float32", 1, width)


def layer(graph: str, form: str) -> Case:
    """A case of a layer."""
    return Case("layers", graph, form, "float32", *ConvLayer.parse(form).shape)


def model(graph: str, form: str) -> Case:
    """A case of a whole model."""
    return Case("models", graph, form, "float32", *WholeModel.shape)


DEFAULTS = {
    "cpu": [
        *(Case("attend", "power-law-clustered", form, "float32", 4, 16) for form in SCORES),
        *(Case("aggregate", "power-law-clustered", form, "float32", 4, 16) for form in REDUCTIONS),
        *(layer("power-law-clustered", form) for form in ("TransformerConv", "GATConv", "GCNConv")),
        *(layer("minibatch", f"{form}+fresh") for form in ("TransformerConv", "SAGEConv")),
        *(model("power-law-clustered", form) for form in MODELS),
    ],
    "cuda": [
        *(attend("arxiv-clustered", 4, 32, form) for form in SCORES),
        attend("arxiv-clustered", 1, 128),
        attend("arxiv-clustered", 8, 64),
        attend("arxiv-clustered", 1, 64),
        attend("mesh", 16, 64, "dot+edge"),
        # In float16 the compiled peer fights for the hub's row: it did not end in five minutes.
        Case("attend", "uniform", "dot", "float32", 1, 128),
        Case("attend", "skewed", "dot", "float32", 1, 128),
        attend("cora-clustered", 8, 64),
        attend("gowalla", 1, 64),
        attend("arxiv-random", 1, 128),
        *(aggregate("arxiv-clustered", form) for form in REDUCTIONS),
        aggregate("gowalla", "weighted"),
        aggregate("uniform"),
        aggregate("skewed"),
        # Last, because each takes half a minute: peers need 400 ms a call, or all of the memory.
        attend("reddit-clustered", 1, 128),
        aggregate("reddit-clustered"),
        attend("reddit-random", 1, 128),
        attend("products-clustered", 1, 128),
        attend("products-clustered", 1, 64),
        aggregate("products-clustered"),
        attend("products-random", 1, 128),
        *(
            layer("minibatch", f"{form}+fresh")
            for form in ("TransformerConv", "SAGEConv", "GATConv")
        ),
        *(layer("arxiv-clustered", form) for form in LAYERS),
        *(layer("products-clustered", form) for form in ("TransformerConv", "GATConv")),
        *(model("arxiv-clustered", form) for form in MODELS),
        *(model("products-clustered", form) for form in ("DAGNN", "GAT")),
    ],
}
"""By type of device, in the order of measuring but for those that share a graph."""


def chosen_cases(
    ops: Sequence[str],
    device_type: str,
    *,
    graphs: Sequence[str] = (),
    scores: Sequence[str] = (),
    reductions: Sequence[str] = (),
    layers: Sequence[str] = (),
    models: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    heads: Sequence[str] = (),
) -> list[Case]:
    """The default cases, or every combination of what was typed; those of one graph together.

    Raises:
        ConfigError: A name is unknown, or an option is for an operator that is not measured.
    """
    for option, typed, op in (
        ("scores", scores, "attend"),
        ("reductions", reductions, "aggregate"),
        ("layers", layers, "layers"),
        ("models", models, "models"),
    ):
        if typed and op not in ops:
            raise ConfigError(f"--{option} is for {op}; type neighborgraph bench {op}")
    for op in {"layers", "models"}.intersection(ops):
        if heads:
            raise ConfigError(f"--heads is not for {op}, which have widths of their own")
    if not any((graphs, scores, reductions, layers, models, dtypes, heads)):
        cases = [case for case in DEFAULTS[device_type] if case.op in ops]
    else:
        forms = {"attend": scores, "aggregate": reductions, "layers": layers, "models": models}
        cases = [
            Case(op, full_name(graph), str(parsed), known_dtype(dtype), *shape)
            for op in ops
            for single in [SINGLE[device_type, op]]
            for graph in graphs or [single.graph]
            for dtype in dtypes or [single.dtype]
            for parsed in map(PARSERS[op], forms[op] or [single.form])
            for shape in shapes_of(parsed, single, heads)
        ]
    order = list(dict.fromkeys(case.graph for case in cases))
    return sorted(dict.fromkeys(cases), key=lambda case: order.index(case.graph))


def shapes_of(form: Form, single: Case, typed: Sequence[str]) -> list[tuple[int, int]]:
    """Heads and widths to measure a form with; a layer and a model have their own."""
    if isinstance(form, ConvLayer | WholeModel):
        return [form.shape]
    return [as_shape(text) for text in typed] or [(single.heads, single.width)]


def known_dtype(name: str) -> str:
    """A dtype's name, or a refusal."""
    if name not in DTYPES:
        known = ", ".join(DTYPES)
        raise ConfigError(f"unknown dtype {name!r}; known are {known}{nearest(name, DTYPES)}")
    return name


def as_shape(text: str) -> tuple[int, int]:
    """``4x32`` as 4 heads of 32 channels."""
    heads, x, width = text.partition("x")
    numbers = heads, width
    if not x or not all(n.isascii() and n.isdigit() and 0 < int(n) < 2**16 for n in numbers):
        raise ConfigError(f"--heads {text!r} must look like 4x32: heads, x, channels of a head")
    return int(heads), int(width)
