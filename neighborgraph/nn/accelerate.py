"""Make an existing PyG model fast in place, and undo it."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from neighborgraph.errors import DtypeError, InputError

HEADER = ("layer", "class", "what was done")

Classes = dict[type[nn.Module], type[nn.Module]]


@dataclass(frozen=True)
class Layer:
    """One message passing layer of a model.

    Attributes:
        path: As in ``model.get_submodule(path)``; empty for the model itself.
        name: Of its class.
        reason: Why it was left as it is, or why it runs PyG's code, as it is set up, although it
            was swapped; else empty.
    """

    path: str
    name: str
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """What `accelerate` or `restore` did; ``print`` shows it as a table.

    Attributes:
        swapped: Layers that have another class now.
        left: Layers that do not, each with a reason.
    """

    swapped: tuple[Layer, ...]
    left: tuple[Layer, ...]

    def __str__(self) -> str:
        total = len(self.swapped) + len(self.left)
        title = f"{len(self.swapped)} of {total} message passing layers swapped"
        if not self.swapped and not self.left:
            return title
        rows = [
            HEADER,
            *(cells(layer, "swapped") for layer in self.swapped),
            *(cells(layer, "left") for layer in self.left),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([title, "", lines[0], "-" * max(map(len, lines)), *lines[1:]])


def cells(layer: Layer, done: str) -> tuple[str, str, str]:
    """One line of the table."""
    done = f"{done}: {layer.reason}" if layer.reason else done
    return layer.path or "(the model)", layer.name, done


def accelerate(model: nn.Module) -> Report:
    """Give every PyG layer in a model our class of the same name, where there is one.

    The layers stay the same objects with the same parameters, buffers, hooks and state dict; only
    their class changes. Whatever refers to them, such as an optimizer or a wrapper for distributed
    training, need not know. A second call finds nothing to do.

    A subclass of a PyG layer is left alone, because its own code may do something else.

    Args:
        model: Any module, changed in place: layers at any depth, or the model itself.

    Returns:
        Which layers were swapped, which were left, and why.

    Raises:
        DtypeError: ``model`` is not a module.
        InputError: ``model`` was compiled by ``torch.jit``.
    """
    return exchange(model, {theirs: ours for ours, theirs in originals().items()})


def restore(model: nn.Module) -> Report:
    """Give every layer of ours in a model PyG's class of the same name: undo `accelerate`.

    Args:
        model: Any module, changed in place.

    Returns:
        Which layers were swapped back, which were left, and why.

    Raises:
        DtypeError: ``model`` is not a module.
        InputError: ``model`` was compiled by ``torch.jit``.
    """
    return exchange(model, originals())


def originals() -> Classes:
    """PyG's class of each of ours."""
    conv = importlib.import_module("neighborgraph.nn.conv")  # loads PyG, so not before it is needed
    layers = (getattr(conv, name) for name in conv.__all__)
    return {layer: layer.pyg for layer in layers if issubclass(layer, nn.Module)}


def exchange(model: nn.Module, new: Classes) -> Report:
    """Change the class of every layer whose class is a key, and report on all layers."""
    if not isinstance(model, nn.Module):
        raise DtypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError(
            f"model is a {type(model).__name__}, whose code torch.jit has fixed; "
            "accelerate or restore it before it is scripted or traced"
        )
    swapped, left = [], []
    for path, layer in layers(model):
        kind = type(layer)
        if kind in new:
            become(layer, new[kind])
            swapped.append(Layer(path, kind.__name__, why_slow(layer)))
        else:
            left.append(Layer(path, kind.__name__, why_left(layer, new)))
    return Report(tuple(swapped), tuple(left))


def layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The message passing layers, and modules that torch.jit has compiled, each once."""
    from torch_geometric.nn import MessagePassing

    scripted: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if path.startswith(scripted):
            continue
        if isinstance(module, torch.jit.ScriptModule):
            scripted += (f"{path}.",)
            yield path, module
        elif isinstance(module, MessagePassing):
            yield path, module


def become(layer: Any, kind: type[nn.Module]) -> None:
    """Let a layer be of another class that has the same attributes."""
    layer.__class__ = kind
    # PyG generates the message passing of a class when it meets its first instance, which it tells
    # by this attribute; an instance that was explained before has one of its own.
    own = vars(layer).pop("propagate", None)
    layer._set_jittable_templates()
    if own is not None:
        layer.propagate = own
    layer.inspector._cls = kind


def why_slow(layer: Any) -> str:
    """Why a layer of ours runs PyG's code whatever the input, or an empty string."""
    refusal = layer.layer_refusal() if hasattr(layer, "layer_refusal") else ""
    return f"but runs PyG's code, because {refusal}" if refusal else ""


def why_left(layer: nn.Module, new: Classes) -> str:
    """A reason in a few words."""
    kind = type(layer)
    if isinstance(layer, torch.jit.ScriptModule):
        return "torch.jit has fixed its code"
    if kind in new.values():
        return f"is {kind.__module__.partition('.')[0]}'s already"
    for known in (*new, *new.values()):
        if issubclass(kind, known):
            return f"a subclass of {known.__name__}, whose own code may do something else"
    return "has no fused form"
