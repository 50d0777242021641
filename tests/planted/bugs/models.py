"""Bugs of models, and of the layers and tasks that they are made of."""

from .bug import Bug


def of(folder: str, name: str, module: str, right: str, wrong: str) -> Bug:
    """A bug of a file of the package that has a test file of its own."""
    file, tests = f"neighborgraph/{folder}/{module}.py", f"tests/{folder}/test_{module}.py"
    return Bug(name, file, right, wrong, (tests,))


def model(name: str, module: str, right: str, wrong: str) -> Bug:
    """A bug of a model."""
    return of("models", name, module, right, wrong)


def layer(name: str, module: str, right: str, wrong: str) -> Bug:
    """A bug of a layer."""
    return of("nn", name, module, right, wrong)


def task(name: str, module: str, right: str, wrong: str) -> Bug:
    """A bug of a task."""
    return of("tasks", name, module, right, wrong)


def conv(name: str, right: str, wrong: str) -> Bug:
    """A bug of what PyG's layers share."""
    return of("nn/conv", name, "projection", right, wrong)


BUGS = (
    model("a seen item of the same rank is not counted", "negatives", "right=True", "right=False"),
    model(
        "seen items are not counted off", "negatives", " + items - place", " + items - 0 * place"
    ),
    model("random numbers are coarse", "negatives", "torch.float64", "torch.float32"),
    model("a penalty twice as large", "lightgcn", "self.reg / 2 *", "self.reg *"),
    model(
        "one direction of an interaction is kept", "lightgcn", ".repeat(2)", ".repeat(2).roll(1)"
    ),
    model("evaluated with dropout", "lightgcn", "if self.training and self", "if self"),
    model(
        "negatives have no gradient",
        "ultragcn",
        "(block @ self.items.weight.t()).gather(1, chosen)",
        "(block @ self.items.weight.detach().t()).gather(1, chosen)",
    ),
    model("negatives are not averaged", "ultragcn", " / negatives.shape[1] *", " *"),
    model("the norm of users alone", "ultragcn", "(self.items.weight)\n", "(user)\n"),
    model("a user without items", "ultragcn", ".masked_fill(users == 0, 0.0)", ""),
    model("equal weights by chance", "cooccurrence", "ids[candidates], ", ""),
    model("a tie leaves too many", "cooccurrence", "values >= least", "values > least"),
    layer(
        "the gradient goes over the graph itself",
        "propagate",
        "horner(ctx.graph.T, grad",
        "horner(ctx.graph, grad",
    ),
    layer(
        "the last coefficient counts in every hop",
        "propagate",
        "        row_scale = scale\n",
        "",
    ),
    layer(
        "DropNode draws in evaluation",
        "features",
        "    if training:\n        kept = torch.bernoulli(kept)\n",
        "    kept = torch.bernoulli(kept)\n",
    ),
    layer(
        "DropNode keeps what it should drop", "features", "x.num_rows,), 1 - p)", "x.num_rows,), p)"
    ),
    model("a bias twice", "grand", "feature_product(x, self.hidden.weight)", "self.hidden(x)"),
    model(
        "a mean over too few powers", "grand", "[1 / (self.hops + 1)]", "[1 / max(self.hops, 1)]"
    ),
    model("a set is seen by another's block", "augmented", "left, block[k])", "left, block[-k])"),
    model(
        "all samples lose the same entries",
        "augmented",
        ") for _ in range(sets.shape[1])]",
        ")] * sets.shape[1]",
    ),
    model(
        "the least certain generator",
        "judge",
        "(log_probability.mean(1) - mixed)",
        "(mixed - log_probability.mean(1))",
    ),
    model("the divergence is rewarded", "edge_vae", ".sum(1) / -2", ".sum(1) / 2"),
    task("predictions pull their target", "consistency", "p.detach().mean", "p.mean"),
    task("labels of other nodes", "consistency", "repeat_interleave(scores", "repeat(scores"),
    task("drawn features are not normalised", "augmented", "normalize_rows_(sets)", "pass"),
    task(
        "the best sets are not drawn again",
        "augmented",
        "random.manual_seed(int(as_augmented(model).drawn_from))",
        "random.seed()",
    ),
    task(
        "a resumed run fits again",
        "augmented",
        'if progress.task_state.get("fitted"):',
        "if False:",
    ),
    conv(
        "gradients of the input overwrite each other",
        "grad_x.addmm_(grad, weight)",
        "grad @ weight",
    ),
    conv("heads share their vectors", "* eye[..., None]", "* eye[..., None].ne(2)"),
    layer(
        "a node that nobody remembers is summed with the first",
        "joint_neighborhood",
        "own + pairs * columns",
        "own",
    ),
    Bug(
        "a maximum after the weights",
        "neighborgraph/nn/conv/sage_conv.py",
        '("mean", "add", "sum")',
        '("mean", "add", "sum", "max")',
        ("tests/nn/conv/test_sage_conv.py",),
    ),
)
