"""Joint neighbourhoods: sums and codes by hand, both ways to make one vector, and gradients."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from neighborgraph.nn import JointAttention, JointNeighborhood, JointSum

KEY = torch.tensor([[5, 7, -1, 7, 9], [3, -1, -1, 3, 3]])
CODE = torch.tensor([1, 2, 2, 8, 16])


def features() -> tuple[JointNeighborhood, Tensor]:
    return JointNeighborhood(3).double(), torch.randn(2, 5, 4, dtype=torch.float64)


def test_shared_nodes_are_added_up_once() -> None:
    joint, vector = features()
    x, is_there = joint(KEY, CODE, vector)
    assert is_there.tolist() == [[True, True, True, False, False], [True] + [False] * 4]
    first, second = vector
    for place, columns, code in ((0, [0], 1), (1, [1, 3], 10), (2, [4], 16)):
        expected = torch.cat([first[columns].sum(0), joint.position.weight[code]])
        torch.testing.assert_close(x[0, place], expected)
    expected = torch.cat([second[[0, 3, 4]].sum(0), joint.position.weight[25]])
    torch.testing.assert_close(x[1, 0], expected)


def test_attention_is_a_softmax_over_the_nodes_that_are_there() -> None:
    joint, vector = features()
    attention = JointAttention(7, 6, heads=2).double()
    x, is_there = joint(KEY, CODE, vector)
    found = attention(x, is_there)
    for pair, there in ((0, 3), (1, 1)):
        rows = x[pair, :there]
        weight = torch.nn.functional.leaky_relu(attention.score(rows), 0.2).softmax(dim=0)
        mixed = (weight[:, :, None] * rows[:, None]).sum(dim=0)
        torch.testing.assert_close(found[pair], attention.out(mixed.flatten()))


def test_sum_counts_the_nodes_that_are_there() -> None:
    joint, vector = features()
    total = JointSum(7, 6, heads=2).double()
    x, is_there = joint(KEY, CODE, vector)
    expected = torch.stack([total.out(x[0, :3].sum(0)), total.out(x[1, 0])])
    torch.testing.assert_close(total(x, is_there), expected)


@pytest.mark.parametrize("kind", [JointAttention, JointSum])
def test_order_of_places_does_not_matter(kind: type[JointAttention | JointSum]) -> None:
    joint, vector = features()
    aggregate = kind(7, 6, heads=2).double()
    order = torch.tensor([4, 2, 0, 3, 1])
    found = aggregate(*joint(KEY, CODE, vector))
    other = aggregate(*joint(KEY[:, order], CODE[order], vector[:, order]))
    torch.testing.assert_close(found, other)


@pytest.mark.parametrize("kind", [JointAttention, JointSum])
def test_gradient(kind: type[JointAttention | JointSum]) -> None:
    joint, vector = features()
    aggregate = kind(7, 2, heads=2).double()
    assert gradcheck(lambda v: aggregate(*joint(KEY, CODE, v)), vector.requires_grad_())


@pytest.mark.cuda
def test_sums_have_the_same_bits_each_time() -> None:
    joint = JointNeighborhood(3).cuda()
    key = torch.randint(-1, 20, (500, 98), device="cuda")
    code, vector = torch.ones(98, device="cuda").long(), torch.randn(500, 98, 4, device="cuda")
    found = joint(key, code, vector)[0]
    assert all(torch.equal(joint(key, code, vector)[0], found) for _ in range(20))
    there = JointNeighborhood(3)
    there.load_state_dict(joint.state_dict())
    torch.testing.assert_close(there(key.cpu(), code.cpu(), vector.cpu())[0], found.cpu())
