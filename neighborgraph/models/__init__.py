"""Models, one paper a file, and the one table of their names."""

import inspect

from torch import nn

from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.models.dagnn import DAGNN
from neighborgraph.models.gcn import GCN
from neighborgraph.models.lightgcn import LightGCN
from neighborgraph.models.mlp import MLP
from neighborgraph.models.recommender import Recommender
from neighborgraph.models.ultragcn import UltraGCN

MODELS: dict[str, type[nn.Module]] = {"dagnn": DAGNN, "gcn": GCN, "mlp": MLP}
"""Command-line name to class."""

__all__ = ["DAGNN", "GCN", "MLP", "MODELS", "LightGCN", "Recommender", "UltraGCN", "build", "find"]


def find(name: str) -> type[nn.Module]:
    """The class called ``name``.

    Raises:
        ConfigError: There is none; names the nearest.
    """
    if name not in MODELS:
        known = ", ".join(sorted(MODELS))
        raise ConfigError(f"unknown model {name!r}{nearest(name, MODELS)} (known: {known})")
    return MODELS[name]


def build(name: str, in_channels: int, out_channels: int, **options: object) -> nn.Module:
    """Build the model called ``name``.

    Args:
        name: A key of ``MODELS``.
        in_channels: Feature width F.
        out_channels: Number of classes C.
        **options: The class's other keyword arguments, such as ``hidden_channels``.

    Raises:
        ConfigError: The name or an option is unknown, missing, or of another type.
    """
    model = find(name)
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(model).parameters.items()
        if key not in ("in_channels", "out_channels")
    }
    for key, value in options.items():
        if key not in parameters:
            raise ConfigError(f"{name} has no option {key!r}{nearest(key, parameters)}")
        wanted = parameters[key].annotation
        # bool is an int to Python, and an int is a fine float; nothing else converts.
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        if not fits:
            raise ConfigError(
                f"{name} option {key!r} must be {wanted.__name__}, got {value!r} "
                f"({type(value).__name__})"
            )
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in options:
            raise ConfigError(f"{name} needs the option {key!r}")
    try:
        return model(in_channels=in_channels, out_channels=out_channels, **options)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
