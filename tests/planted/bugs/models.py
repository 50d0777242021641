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
)
