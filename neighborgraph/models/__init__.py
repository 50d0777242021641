"""Models, one paper a file, and the one table of their names."""

import inspect
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args, get_origin

from torch import Tensor, nn

from neighborgraph.checks import nearest
from neighborgraph.errors import ConfigError
from neighborgraph.models.augmented import LAGAT, LAGCN, LAGCNII, LAGRAND, LASAGE, Augmented
from neighborgraph.models.confidence import ConfidenceGate, dispersion
from neighborgraph.models.dagnn import DAGNN
from neighborgraph.models.edge_bank import EdgeBank, EdgeBankWindow
from neighborgraph.models.edge_vae import EdgeVAE
from neighborgraph.models.gat import GAT
from neighborgraph.models.gcn import GCN
from neighborgraph.models.gcnii import GCNII
from neighborgraph.models.grand import GRAND
from neighborgraph.models.judge import uncertainty
from neighborgraph.models.largegt import LargeGT, LargeGTGlobal, LargeGTLocal, TokenModel
from neighborgraph.models.lightgcn import LightGCN
from neighborgraph.models.link_predictor import LinkPredictor
from neighborgraph.models.local_augmentation import LocalAugmentation
from neighborgraph.models.mlp import MLP
from neighborgraph.models.mowst import MowstModel, MowstStarModel, Opinions
from neighborgraph.models.mowst_gnn import MowstGCN, MowstSAGE, MowstStarGCN, MowstStarSAGE
from neighborgraph.models.nat import NAT, NATSum
from neighborgraph.models.nat_classifier import NATClassifier
from neighborgraph.models.recommender import Recommender
from neighborgraph.models.sage import SAGE
from neighborgraph.models.temporal import TemporalModel
from neighborgraph.models.ultragcn import UltraGCN

MODELS: dict[str, type[nn.Module]] = {
    "dagnn": DAGNN,
    "edgebank": EdgeBank,
    "edgebank-window": EdgeBankWindow,
    "gat": GAT,
    "gcn": GCN,
    "gcnii": GCNII,
    "grand": GRAND,
    "la-gat": LAGAT,
    "la-gcn": LAGCN,
    "la-gcnii": LAGCNII,
    "la-grand": LAGRAND,
    "la-sage": LASAGE,
    "largegt": LargeGT,
    "largegt-global": LargeGTGlobal,
    "largegt-local": LargeGTLocal,
    "lightgcn": LightGCN,
    "mlp": MLP,
    "mowst-gcn": MowstGCN,
    "mowst-sage": MowstSAGE,
    "mowst-star-gcn": MowstStarGCN,
    "mowst-star-sage": MowstStarSAGE,
    "nat": NAT,
    "nat-classifier": NATClassifier,
    "nat-sum": NATSum,
    "sage": SAGE,
    "ultragcn": UltraGCN,
}
"""Command-line name to class."""

__all__ = [
    "DAGNN",
    "GAT",
    "GCN",
    "GCNII",
    "GRAND",
    "LAGAT",
    "LAGCN",
    "LAGCNII",
    "LAGRAND",
    "LASAGE",
    "MLP",
    "MODELS",
    "NAT",
    "SAGE",
    "Augmented",
    "ConfidenceGate",
    "EdgeBank",
    "EdgeBankWindow",
    "EdgeVAE",
    "LargeGT",
    "LargeGTGlobal",
    "LargeGTLocal",
    "LightGCN",
    "LinkPredictor",
    "LocalAugmentation",
    "MowstGCN",
    "MowstModel",
    "MowstSAGE",
    "MowstStarGCN",
    "MowstStarModel",
    "MowstStarSAGE",
    "NATClassifier",
    "NATSum",
    "Opinions",
    "Recommender",
    "TemporalModel",
    "TokenModel",
    "UltraGCN",
    "build",
    "build_link_predictor",
    "build_recommender",
    "build_temporal_model",
    "build_token_model",
    "dispersion",
    "find",
    "uncertainty",
]


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
    """Build the model of nodes called ``name``.

    Args:
        name: A key of ``MODELS``.
        in_channels: Feature width F.
        out_channels: Number of classes C.
        **options: The class's other keyword arguments, such as ``hidden_channels``.

    Raises:
        ConfigError: The name or an option is unknown, missing, or of another type.
    """
    sizes = {"in_channels": in_channels, "out_channels": out_channels}
    return construct(name, sizes, options)


def build_link_predictor(
    name: str,
    in_channels: int | None,
    num_nodes: int,
    predictor: Mapping[str, Any],
    **options: object,
) -> LinkPredictor:
    """Build a predictor of links around the model of nodes called ``name``.

    Args:
        name: A key of ``MODELS``.
        in_channels: Feature width F; None where the nodes have no features and get an embedding.
        num_nodes: n.
        predictor: ``hidden_channels``, ``layers`` and ``dropout`` of a `LinkPredictor`.
        **options: The encoder's other keyword arguments, such as ``hidden_channels``.

    Raises:
        ConfigError: The name or an option is unknown, missing, or of another type.
        InputError: A number of the predictor is out of range.
    """
    width = predictor["hidden_channels"]
    encoder = build(name, in_channels or width, width, **options)
    embedded = num_nodes if in_channels is None else None
    return LinkPredictor(encoder, num_nodes=embedded, **predictor)


def build_token_model(
    name: str, in_channels: int, out_channels: int, num_nodes: int, **options: object
) -> TokenModel:
    """Build the model of sampled tokens called ``name``.

    Args:
        name: A key of ``MODELS``.
        in_channels: Feature width F.
        out_channels: Number of classes C.
        num_nodes: n, for a model that remembers something of every node.
        **options: The class's other keyword arguments, such as ``hidden_channels``.

    Raises:
        ConfigError: The name or an option is unknown, missing, or of another type.
    """
    sizes = {"in_channels": in_channels, "out_channels": out_channels}
    if "num_nodes" in inspect.signature(find(name)).parameters:
        sizes["num_nodes"] = num_nodes
    model = construct(name, sizes, options)
    if not isinstance(model, TokenModel):
        raise ConfigError(f"{name} does not classify nodes by sampled tokens")
    return model


def build_temporal_model(name: str, edge_channels: int, **options: object) -> TemporalModel:
    """Build the model of a stream called ``name``.

    Args:
        name: A key of ``MODELS``.
        edge_channels: Features of an event; 0 for none.
        **options: The class's other keyword arguments, such as ``near``.

    Raises:
        ConfigError: The name or an option is unknown, missing, or of another type.
    """
    sizes = {"edge_channels": edge_channels}
    if "edge_channels" not in inspect.signature(find(name)).parameters:
        sizes = {}
    model = construct(name, sizes, options)
    if not isinstance(model, TemporalModel):
        raise ConfigError(f"{name} is no model of a stream of events")
    return model


def build_recommender(
    name: str, num_users: int, num_items: int, train_pairs: Tensor, **options: object
) -> nn.Module:
    """Build the recommender called ``name``.

    Args:
        name: A key of ``MODELS``.
        num_users: U.
        num_items: I.
        train_pairs: [2, n] int64 training pairs, sorted by (user, item).
        **options: The class's other keyword arguments, such as ``embedding_dim``.

    Raises:
        ConfigError: The name or an option is unknown, missing, or of another type.
    """
    sizes = {"num_users": num_users, "num_items": num_items, "train_pairs": train_pairs}
    return construct(name, sizes, options)


def construct(name: str, sizes: Mapping[str, object], options: Mapping[str, object]) -> nn.Module:
    """The model called ``name``, after a check of its options."""
    model = find(name)
    parameters = inspect.signature(model).parameters
    if not sizes.keys() <= parameters.keys():
        raise ConfigError(
            f"{name} cannot be built from {', '.join(sizes)}: it is a model of another task"
        )
    parameters = {key: p for key, p in parameters.items() if key not in sizes}
    for key, value in options.items():
        if key not in parameters:
            raise ConfigError(f"{name} has no option {key!r}{nearest(key, parameters)}")
        wanted = parameters[key].annotation
        if not takes(wanted, value):
            raise ConfigError(
                f"{name} option {key!r} must be {getattr(wanted, '__name__', wanted)}, "
                f"got {value!r} ({type(value).__name__})"
            )
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in options:
            raise ConfigError(f"{name} needs the option {key!r}")
    try:
        return model(**sizes, **options)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def takes(annotation: Any, value: object) -> bool:
    """Whether an option may have a value: an int is a fine float, and nothing else converts."""
    if isinstance(annotation, UnionType):
        return any(takes(kind, value) for kind in get_args(annotation))
    kind = get_origin(annotation) or annotation
    # Not isinstance: bool is an int to Python.
    return type(value) is kind or (kind is float and type(value) is int)
