"""What the layers over PyG's classes have in common: which code an input takes, and why."""

import copy
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack
from torch_geometric.nn import MessagePassing

from neighborgraph.checks import FLOAT_DTYPES
from neighborgraph.graph import Graph
from neighborgraph.nn.conv import adjacency
from neighborgraph.ops.lanes import fits_a_warp

# What a user may change of a layer of PyG: methods, and hooks around them.
METHODS = ("message", "aggregate", "message_and_aggregate", "update", "edge_update")
GENERATED = ("propagate", "edge_updater")
HOOKS = tuple(
    f"_{name}_forward_{kind}"
    for name in ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")
    for kind in ("pre_hooks", "hooks")
)


# What type checkers see; at run time PyG's class comes after `Fused`.
Base = MessagePassing if TYPE_CHECKING else object


class Path(NamedTuple):
    """Which code a layer runs on an input."""

    fused: bool
    """True for this project's kernels, False for PyG's own forward."""
    reason: str
    """Why not the kernels; empty where they run."""

    @staticmethod
    def unless(reason: str) -> "Path":
        """The fused path, unless there is a reason against it."""
        return Path(reason == "", reason)


class Fused(Base):
    """Goes before PyG's class in the bases of a layer; adds no state of its own.

    A layer of PyG becomes one of these when its ``__class__`` is changed, and the other way round.

    PyG generates code for each class from the types behind ``propagate_type:`` in the source of the
    class or its bases. It finds sources by name, so that ours stand for those of its own classes:
    each layer has the comment too.
    """

    pyg: ClassVar[type[MessagePassing]]
    """The class of PyG."""
    overridden: ClassVar[str] = ""
    """A method of PyG's class that a subclass of the layer changed."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Find PyG's class, and what a subclass changes of it."""
        super().__init_subclass__(**kwargs)
        cls.pyg = next(base for base in cls.__mro__ if is_of_pyg(base))
        changed = [name for name in METHODS if getattr(cls, name) is not getattr(cls.pyg, name)]
        changed += [name for name in GENERATED if name in vars(cls)]
        cls.overridden = changed[0] if changed else cls.overridden

    def _set_jittable_templates(self, raise_on_error: bool = False) -> None:
        super()._set_jittable_templates(raise_on_error)
        # PyG generates code for a class, and remembers what that replaces for explanations and for
        # where it fails. In a class whose base has such code already, it would remember that.
        cls = type(self)
        for name in GENERATED:
            original, general = getattr(cls, f"_orig_{name}", None), getattr(MessagePassing, name)
            if original is None or not original.__module__.endswith(f"_{name}"):
                continue
            if getattr(cls, name) is original:
                setattr(cls, name, general)
                setattr(cls, f"_jinja_{name}", general)
            setattr(cls, f"_orig_{name}", general)

    def __prepare_scriptable__(self) -> MessagePassing:
        """The same layer as an instance of PyG's class, for TorchScript."""
        inspector = copy.copy(self.inspector)
        inspector._cls, inspector._source_dict = self.pyg, {}
        plain = object.__new__(self.pyg)
        plain.__setstate__({**self.__dict__, "inspector": inspector})
        return plain

    def layer_refusal(self) -> str:
        """Why the layer, as it is set up, has to run PyG's code, or an empty string."""
        if self.explain:
            return "explain is on"
        for name in HOOKS:
            if len(getattr(self, name)) > 0:
                return f"there is a hook in {name}"
        if self.overridden:
            return f"{type(self).__name__} has its own {self.overridden}"
        for name in METHODS:
            if name in self.__dict__:
                return f"the layer has its own {name}"
        if self.flow != "source_to_target":
            return f"flow={self.flow!r}"
        if self.node_dim not in (0, -2):
            return f"node_dim={self.node_dim}"
        if self.decomposed_layers != 1:
            return f"decomposed_layers={self.decomposed_layers}"
        return "" if torch.compiler.is_compiling() else transform_refusal()

    def input_refusal(self, edge_index: Any, x: Tensor, *more: Tensor | None) -> str:
        """Why an input has to go through PyG's code, or an empty string."""
        for features in (x, *more):
            if features is None:
                continue
            if features.dim() != 2:
                return f"features have {features.dim()} dimensions"
            if features.dtype not in FLOAT_DTYPES or features.layout != torch.strided:
                return f"features are {features.dtype}, {features.layout}"
        if x.device.type not in ("cpu", "cuda"):
            return f"features are on {x.device}"
        return adjacency.refusal(edge_index, x.device)

    def aggr_refusal(self, *fused: str) -> str:
        """Why an aggregation is not one of those that are fused, or an empty string."""
        return "" if self.aggr in fused else f"aggr={self.aggr!r}"


def is_of_pyg(base: type) -> bool:
    """Whether a class is one of PyG's own."""
    return base.__module__.partition(".")[0] == "torch_geometric"


def transform_refusal() -> str:
    """Tracing and transforms that do not know this project's operators."""
    if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export():
        return "the layer is being traced"
    if peek_interpreter_stack() is not None:
        return "a transform of torch.func"
    if torch.autograd.forward_ad._current_level >= 0:
        return "forward-mode differentiation"
    return ""


def width_refusal(x: Tensor, width: int) -> str:
    """Why heads are too wide for the GPU kernels, or an empty string."""
    if x.device.type == "cuda" and not fits_a_warp(x.dtype, width):
        return f"heads of {width} channels in {x.dtype}"
    return ""


def wants_grad(layer: torch.nn.Module, *inputs: Tensor | None) -> bool:
    """Whether a gradient of an input or a parameter may be asked for."""
    if not torch.is_grad_enabled():
        return False
    if any(x is not None and x.requires_grad for x in inputs):
        return True
    return any(parameter.requires_grad for parameter in layer.parameters())


def for_pyg(edge_index: Any) -> Any:
    """An adjacency that PyG's code computes with, and correctly.

    On a CPU, Torch 2.13 gathers the wrong rows by an expanded int32 index, which makes PyG's
    gradients wrong for an ``edge_index`` in int32.
    """
    if isinstance(edge_index, Graph):
        return edge_index.edge_index
    is_int32 = isinstance(edge_index, Tensor) and edge_index.dtype == torch.int32
    return edge_index.long() if is_int32 and edge_index.device.type == "cpu" else edge_index
