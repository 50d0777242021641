"""The awkward graphs are awkward in every way, and the error rule refuses what it should."""

import pytest
import torch

from neighborgraph.graph import Graph
from neighborgraph.testing import (
    AWKWARD,
    PROPERTIES,
    assert_close,
    awkward_graphs,
    coverage,
    devices,
    random_graph,
    ulp,
)


def test_awkward_graphs_cover_every_property() -> None:
    counts = coverage(awkward_graphs().values())
    assert list(counts) == list(PROPERTIES)
    assert [name for name, count in counts.items() if count == 0] == []


def test_coverage_reports_what_is_missing() -> None:
    counts = coverage([awkward_graphs()["path"]])
    assert counts["empty rows"] == 1
    assert sum(counts.values()) == 1


# Each property with a graph that has it and a close relative that has not.
HAS_AND_HAS_NOT = {
    "no receivers": ("no_receivers", "no_edges"),
    "no edges": ("no_edges", "self_loop"),
    "empty rows": ("path", "clique"),
    "first and last row empty": ("empty_rows", "path"),
    "self-loops": ("self_loop", "bipartite"),
    "duplicates": ("duplicates", "clique"),
    "bipartite": ("no_receivers", "empty"),
    "hub rows": ("one_row", "star_in"),
    "hub columns": ("star_out", "one_row"),
    "edges out of order": ("constant_degree", "path"),
}


@pytest.mark.parametrize("name", PROPERTIES)
def test_property_tells_graphs_apart(name: str) -> None:
    yes, no = HAS_AND_HAS_NOT[name]
    assert PROPERTIES[name](awkward_graphs()[yes])
    assert not PROPERTIES[name](awkward_graphs()[no])


def test_awkward_graphs_hold_the_sizes_where_work_is_cut() -> None:
    degrees = awkward_graphs()["degrees"].degree.tolist()
    assert {0, 1, 31, 32, 33, 511, 512, 513, 1025} == set(degrees)
    assert awkward_graphs()["one_row"].degree.tolist() == [0, 0, 1500, 0]


def test_awkward_graphs_are_made_once_and_stay_small() -> None:
    assert awkward_graphs() is awkward_graphs()
    assert list(awkward_graphs()) == list(AWKWARD)
    assert max(graph.num_edges for graph in awkward_graphs().values()) < 3000
    with pytest.raises(TypeError):
        awkward_graphs()["path"] = awkward_graphs()["empty"]  # pyright: ignore


def test_random_graph_repeats_and_covers() -> None:
    def edges(graph: Graph) -> list[list[int]]:
        return graph.edge_index.tolist()

    assert edges(random_graph(3)) == edges(random_graph(3))
    assert edges(random_graph(3)) != edges(random_graph(4))
    bipartite = random_graph(3, 12, 9, 40)
    assert (bipartite.num_rows, bipartite.num_cols, bipartite.num_edges) == (12, 9, 40)
    counts = coverage(random_graph(seed) for seed in range(50))
    assert min(counts[name] for name in ("empty rows", "duplicates", "self-loops")) >= 40


def test_random_graph_without_receivers_and_with_weights() -> None:
    assert random_graph(0, 0, 3, 0).num_rows == 0
    assert random_graph(0).weight is None
    weight = random_graph(0, dtype=torch.float16).weight
    assert weight is not None
    assert (weight.dtype, weight.shape) == (torch.float16, (60,))


def test_devices_start_with_the_cpu() -> None:
    names = [device.type for device in devices()]
    assert names == ["cpu", "cuda"][: 1 + torch.cuda.is_available()]


@pytest.mark.parametrize(
    ("magnitude", "dtype"),
    [
        (1.0, torch.float32),
        (1.999, torch.float16),
        (2.0, torch.bfloat16),
        (60000.0, torch.float16),
        (3e38, torch.float32),
        (1e-30, torch.float64),
        (0.0, torch.float16),
        (3e-6, torch.float16),
    ],
)
def test_ulp_is_the_distance_to_the_next_number(magnitude: float, dtype: torch.dtype) -> None:
    here = torch.tensor(magnitude, dtype=torch.float64).to(dtype)
    # Downwards from the next number up, so that the largest finite number has a neighbour too.
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    after = (here.view(bits) + 1).view(dtype)
    assert ulp(magnitude, dtype) == (after.double() - here.double()).item()


REFERENCE = torch.tensor([[1.0, -2.0], [0.5, 1.5]], dtype=torch.float64)
PLAIN = REFERENCE.float() + torch.tensor([[0.0, 1e-3], [0.0, 0.0]])


def moved(by: float) -> torch.Tensor:
    """The reference, one element of which is off."""
    actual = REFERENCE.float()
    actual[1, 0] += by
    return actual


def test_an_error_as_large_as_allowed_passes() -> None:
    assert_close(moved(1.9e-3), REFERENCE, PLAIN)
    assert_close(moved(2.9e-3), REFERENCE, PLAIN, factor=3)
    assert_close(moved(4 * 2.0**-22), REFERENCE, REFERENCE.float())


def test_a_larger_error_is_described() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_close(moved(2.5e-3), REFERENCE, PLAIN, name="grad_q")
    message = str(caught.value)
    assert "grad_q is too far from the reference at 1 of 4 elements" in message
    assert "worst is grad_q[1, 0] = 0.5025 against 0.5, error 0.0025" in message
    assert "allowed 0.002 = 2 x 0.001 of plain torch.float32 + 4 ulp at 2" in message


def test_five_ulps_are_too_many_where_plain_is_exact() -> None:
    with pytest.raises(AssertionError, match="too far"):
        assert_close(moved(5 * 2.0**-22), REFERENCE, REFERENCE.float())


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_what_is_not_finite_is_never_within_a_budget(value: float) -> None:
    with pytest.raises(AssertionError, match=r"result(\[1, 0\] is NaN| is too far)"):
        assert_close(moved(value), REFERENCE, PLAIN)


def test_nan_must_be_where_the_reference_has_it() -> None:
    reference = REFERENCE.clone()
    reference[0, 1] = torch.nan
    assert_close(reference.float(), reference, PLAIN)
    with pytest.raises(AssertionError, match=r"result\[0, 1\] is -2, the reference nan"):
        assert_close(REFERENCE.float(), reference, PLAIN)


def test_infinities_must_agree() -> None:
    reference = torch.tensor([-torch.inf, 1.0], dtype=torch.float64)
    assert_close(reference.float(), reference, reference.float())
    for wrong in (torch.inf, -3e38):
        with pytest.raises(AssertionError, match=r"result\[0\] is .* neither the reference -inf"):
            assert_close(torch.tensor([wrong, 1.0]), reference, reference.float())


def test_overflow_of_the_narrow_type_is_the_expected_result() -> None:
    reference = torch.tensor([70000.0, 1.0], dtype=torch.float64)
    plain = reference.half()
    assert_close(plain, reference, plain)
    with pytest.raises(AssertionError, match="neither the reference inf nor plain inf"):
        assert_close(torch.tensor([65504.0, 1.0]).half(), reference, plain)


def test_empty_results_and_scalars_are_compared() -> None:
    nothing = torch.empty(0, 3)
    assert_close(nothing, nothing.double(), nothing)
    assert_close(torch.tensor(1.0), torch.tensor(1.0).double(), torch.tensor(1.0))
    with pytest.raises(AssertionError, match=r"worst is result\[\] = 2"):
        assert_close(torch.tensor(2.0), torch.tensor(1.0).double(), torch.tensor(1.0))


def test_a_comparison_of_unlike_things_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"shape \[2\], but reference64 has \[2, 2\]"):
        assert_close(torch.ones(2), REFERENCE, PLAIN)
    with pytest.raises(AssertionError, match=r"plain has \[1\]"):
        assert_close(moved(0), REFERENCE, torch.ones(1))
    with pytest.raises(AssertionError, match=r"reference64 must be torch.float64"):
        assert_close(moved(0), REFERENCE.float(), PLAIN)
    with pytest.raises(AssertionError, match=r"plain like result, got .*float16"):
        assert_close(moved(0), REFERENCE, PLAIN.half())
