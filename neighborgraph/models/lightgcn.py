"""LightGCN, from "LightGCN: Simplifying and Powering Graph Convolution Network" (SIGIR 2020)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neighborgraph.checks import nearest
from neighborgraph.errors import InputError
from neighborgraph.graph import Csr, Graph
from neighborgraph.models.negatives import UnseenItems
from neighborgraph.models.options import expect_counts, expect_dropout, expect_weights
from neighborgraph.models.recommender import Recommender
from neighborgraph.nn import propagate_sum

INITS = ("normal", "xavier")
NORMAL_STD = 0.1


class LightGCN(Recommender):
    r"""Propagate embeddings over interactions and average the layers (arXiv 2002.02126).

    .. math::

        E = \sum_{k=0}^{K} \alpha_k \hat{A}^k E_0, \qquad
        \hat{A} = D^{-1/2} A D^{-1/2}, \qquad
        s_{ui} = \langle e_u, e_i \rangle

    The parameters are :math:`E_0` alone. They are trained with the pairwise loss of BPR over a
    batch of users u with an item i that they have seen and an item j that they have not:

    .. math::

        L = \frac{1}{B} \sum_{(u, i, j)} \Big( \ln (1 + e^{s_{uj} - s_{ui}})
          + \frac{\lambda}{2} \big( |e^0_u|^2 + |e^0_i|^2 + |e^0_j|^2 \big) \Big)

    The methods that ``torch_geometric.nn.LightGCN`` has do here what they do there, with the graph
    of the training pairs in place of ``edge_index``. Nodes are numbered users first: item i is node
    U + i.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        train_pairs: Tensor,
        *,
        embedding_dim: int = 64,
        num_layers: int = 3,
        alpha: list[float] | None = None,
        reg: float = 1e-4,
        edge_dropout: float = 0.0,
        init: str = "normal",
    ):
        r"""Build the graph of the training pairs and draw the embeddings.

        Args:
            num_users: U.
            num_items: I.
            train_pairs: [2, n] int64, users above items, sorted by (user, item), each pair once.
            embedding_dim: d.
            num_layers: K, 0 or more; 0 is matrix factorisation.
            alpha: The K + 1 layer weights :math:`\alpha_k`; by default all are 1 / (K + 1).
            reg: :math:`\lambda`, the weight of the squared norms.
            edge_dropout: Probability, in [0, 1), that a training step leaves an interaction out of
                the graph, in both directions and all layers; the others are scaled up for it.
            init: "normal" draws from N(0, 0.1²), as the authors' PyTorch code does, and "xavier"
                uniformly for users and for items, as their paper does.

        Raises:
            InputError: The pairs or an option are wrong, or a user has seen every item.
            DtypeError: ``train_pairs`` is no int64 tensor.
        """
        super().__init__(num_users, num_items, train_pairs)
        expect_counts(embedding_dim=embedding_dim)
        expect_dropout(edge_dropout=edge_dropout)
        if num_layers < 0:
            raise InputError(f"num_layers={num_layers} is negative; 0 or more layers are possible")
        alpha = [1 / (num_layers + 1)] * (num_layers + 1) if alpha is None else alpha
        if len(alpha) != num_layers + 1:
            raise InputError(
                f"alpha has {len(alpha)} layer weights, but num_layers={num_layers} needs "
                f"{num_layers + 1}, one for each layer and one for the embeddings themselves"
            )
        expect_weights(reg=reg)
        for layer, weight in enumerate(alpha):
            if not isinstance(weight, int | float) or not math.isfinite(weight):
                raise InputError(f"alpha[{layer}]={weight!r} must be a finite number")
        if init not in INITS:
            raise InputError(
                f"init={init!r} must be one of {', '.join(INITS)}{nearest(init, INITS)}"
            )
        self.embedding_dim = embedding_dim
        self.num_layers = num_layers
        self.num_nodes = num_users + num_items
        self.alpha = tuple(map(float, alpha))
        self.reg = reg
        self.edge_dropout = edge_dropout
        self.init = init
        self.embedding = nn.Embedding(self.num_nodes, embedding_dim)
        self.user_item = UserItemGraph(num_users, self.num_nodes, train_pairs)
        self.unseen = UnseenItems(num_users, num_items, train_pairs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the embeddings anew."""
        if self.init == "normal":
            nn.init.normal_(self.embedding.weight, std=NORMAL_STD)
            return
        for table in self.embedding.weight.split([self.num_users, self.num_items]):
            nn.init.xavier_uniform_(table)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Users [U, d] and items [I, d] after propagation."""
        users, items = self.get_embedding().split([self.num_users, self.num_items])
        return users, items

    def draw(self, pairs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One item that the user has not seen for each pair, uniformly: [B] int64.

        Args:
            pairs: [2, B] int64 training pairs.
            generator: Of the device of ``pairs``; None takes Torch's own.
        """
        return self.unseen.draw(pairs[0], generator)

    def loss(self, pairs: Tensor, negatives: Tensor, size: Tensor | None = None) -> Tensor:
        """The BPR loss of a batch, with the norms of its rows of the embedding table.

        Args:
            pairs: [2, B] int64 training pairs.
            negatives: [B] int64 item ids.
            size: Scalar, the pairs of the whole batch of which these are some; by default B.
        """
        users, items = pairs
        nodes = torch.cat([users, self.num_users + items, self.num_users + negatives])
        # F.embedding and not an index: the same gradient bit for bit in every run, on any device.
        user, positive, negative = F.embedding(nodes, self.get_embedding()).chunk(3)
        rank = F.softplus((user * (negative - positive)).sum(-1)).sum()
        norms = self.reg / 2 * self.embedding(nodes).square().sum()
        whole = users.numel() if size is None else size
        return rank / whole + norms / whole

    def get_embedding(self) -> Tensor:
        """All nodes after propagation, [U + I, d]."""
        weight = None
        if self.training and self.edge_dropout > 0:
            weight = self.user_item.dropout(self.edge_dropout, self.embedding.weight.dtype)
        return propagate_sum(self.user_item.graph, self.embedding.weight, self.alpha, weight=weight)

    def forward(self, edge_label_index: Tensor | None = None) -> Tensor:
        """Scores of pairs of nodes.

        Args:
            edge_label_index: [2, p] node ids; by default the edges of the graph, users to items
                first, then back.

        Returns:
            [p].
        """
        if edge_label_index is None:
            edge_label_index = self.user_item.graph.edge_index
        source, target = F.embedding(edge_label_index, self.get_embedding())
        return (source * target).sum(-1)

    def predict_link(self, edge_label_index: Tensor | None = None, prob: bool = False) -> Tensor:
        """Whether pairs of nodes are linked, [p] of 0 and 1, or how probably with ``prob``."""
        probability = self(edge_label_index).sigmoid()
        return probability if prob else probability.round()

    def recommend(
        self,
        src_index: Tensor | None = None,
        dst_index: Tensor | None = None,
        k: int = 1,
        sorted: bool = True,
    ) -> Tensor:
        """The k best nodes for others.

        Like PyG's it makes the whole matrix of scores and leaves seen items in.

        Args:
            src_index: [r] node ids to recommend to; by default all.
            dst_index: [c] node ids to choose from; by default all.
            k: At most c.
            sorted: Whether the best comes first.

        Returns:
            [r, k] node ids.
        """
        embedding = self.get_embedding()
        source = embedding if src_index is None else embedding[src_index]
        target = embedding if dst_index is None else embedding[dst_index]
        best = (source @ target.t()).topk(k, dim=-1, sorted=sorted).indices
        return best if dst_index is None else dst_index[best]

    def link_pred_loss(self, pred: Tensor, edge_label: Tensor, **options) -> Tensor:
        """Binary cross entropy of scores and labels [p]; options of ``BCEWithLogitsLoss``."""
        return nn.BCEWithLogitsLoss(**options)(pred, edge_label.to(pred.dtype))

    def recommendation_loss(
        self,
        pos_edge_rank: Tensor,
        neg_edge_rank: Tensor,
        node_id: Tensor | None = None,
        lambda_reg: float = 1e-4,
    ) -> Tensor:
        """PyG's BPR loss, whose penalty is ``lambda_reg`` over p times the squared norms.

        Args:
            pos_edge_rank: [p] scores of positive pairs.
            neg_edge_rank: [p] scores of negative pairs of the same users.
            node_id: Nodes whose embeddings are penalised; by default all.
            lambda_reg: Half the ``reg`` of `loss`.
        """
        weight = self.embedding.weight
        weight = weight if node_id is None else F.embedding(node_id, weight)
        penalty = lambda_reg * weight.square().sum() / pos_edge_rank.shape[0]
        return F.softplus(neg_edge_rank - pos_edge_rank).mean() + penalty

    def extra_repr(self) -> str:
        """Sizes."""
        return (
            f"{self.num_users}, {self.num_items}, embedding_dim={self.embedding_dim}, "
            f"num_layers={self.num_layers}"
        )


class UserItemGraph(nn.Module):
    """The symmetric graph of users and items, which moves between devices with its model.

    Both directions of an interaction have one weight, so the graph is its own transpose.
    """

    def __init__(self, num_users: int, num_nodes: int, pairs: Tensor):
        """Build it from the pairs [2, n], whose edges come from users to items first."""
        super().__init__()
        self.num_nodes = num_nodes
        self.num_pairs = pairs.shape[1]
        forth = torch.stack([pairs[0], num_users + pairs[1]])
        edges = torch.cat([forth, forth.flip(0)], dim=1)
        sizes = num_nodes, num_nodes
        rows = Graph.from_trusted_edge_index(edges, sizes, transpose=False).rows
        for name, tensor in rows._asdict().items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def graph(self) -> Graph:
        """The graph, with itself as transpose."""
        rows = Csr(*(self.get_buffer(name) for name in Csr._fields))
        return Graph(rows, rows, self.num_nodes, self.num_nodes)

    def dropout(self, probability: float, dtype: torch.dtype) -> Tensor:
        """Weights [2n] that leave out interactions and keep the expectation."""
        kept = torch.rand(self.num_pairs, device=self.get_buffer("idx").device) >= probability
        return (kept.to(dtype) / (1 - probability)).repeat(2)
