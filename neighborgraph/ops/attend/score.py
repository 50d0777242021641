"""How attention scores an edge: the types that `attend` takes as its ``score``."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Dot:
    r"""Scaled dot product, :math:`s_e = \sigma \langle q_i, k_j + a_e \rangle`.

    Edge vectors a join the keys and the values: :math:`o_i = \sum_e p_e (v_j + a_e)`.

    "Attention Is All You Need", https://arxiv.org/abs/1706.03762; with edge vectors "Masked Label
    Prediction", https://arxiv.org/abs/2009.03509.

    Attributes:
        scale: Factor σ; 1/sqrt(D) for keys of width D when None.
    """

    scale: float | None = None


@dataclass(frozen=True)
class Additive:
    r"""Leaky ReLU of a sum, :math:`s_e = \langle w, \operatorname{lrelu}(q_i + k_j + a_e) \rangle`.

    Edge vectors a take part in the score alone. With width 1 and no ``weight`` this is the score of
    GAT, whose q and k are one number for each node and head.

    "Graph Attention Networks", https://arxiv.org/abs/1710.10903, and "How Attentive are Graph
    Attention Networks?", https://arxiv.org/abs/2105.14491.

    Attributes:
        weight: [H, D] vector w of each head, in the dtype of q or in float32 beside 16-bit q;
            differentiable; all ones when None.
        negative_slope: Slope of the leaky ReLU below zero.
    """

    weight: Tensor | None = None
    negative_slope: float = 0.2


Score = Dot | Additive
