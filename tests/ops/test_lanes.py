"""Launch plans: every width is covered, by a template instance that exists."""

import pytest
import torch

from neighborgraph.errors import InputError
from neighborgraph.ops.lanes import (
    CUDA_NAMES,
    MAX_VECTORS,
    WARP,
    Lanes,
    aligned,
    channel_lanes_for,
    channel_plans,
    head_plans,
    lanes_for,
    power_of_two_above,
    powers_of_two,
    vector_for,
)

DTYPES = list(CUDA_NAMES)
HEADS = [1, 2, 3, 4, 7, 8, 16, 33, 64, 1024]


@pytest.mark.parametrize(
    ("dtype", "width", "heads", "expected"),
    [
        (torch.float16, 128, 1, Lanes(8, 16, 1, 4, 1)),
        (torch.float16, 128, 8, Lanes(8, 16, 1, 4, 2)),
        (torch.float32, 16, 4, Lanes(4, 4, 1, 4, 4)),
        (torch.float32, 1, 100, Lanes(1, 1, 1, 4, 32)),
        (torch.float32, 100, 1, Lanes(4, 32, 1, 4, 1)),
        # Eight slots: a step of four edges each would be longer than most rows.
        (torch.float32, 16, 1, Lanes(4, 4, 1, 2, 1)),
        (torch.bfloat16, 33, 1, Lanes(1, 32, 2, 2, 1)),
        (torch.float64, 256, 1, Lanes(2, 32, 4, 1, 1)),
        (torch.bfloat16, 2048, 2, Lanes(8, 32, 8, 1, 1)),
    ],
)
def test_plans_by_hand(dtype: torch.dtype, width: int, heads: int, expected: Lanes) -> None:
    assert lanes_for(dtype, width, heads) == expected


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_width_up_to_256_is_covered_by_a_listed_plan(dtype: torch.dtype) -> None:
    listed = {plan.template(dtype) for plan in head_plans(dtype)}
    for width in [*range(1, 257), 512]:
        for heads in HEADS:
            plan = lanes_for(dtype, width, heads)
            assert plan.template(dtype) in listed
            assert plan.channels >= width
            assert plan.channels < 2 * width or plan.vectors == plan.lanes == 1
            assert plan.vector * dtype.itemsize <= 16
            assert width % plan.vector == 0
            assert plan.lanes * plan.heads <= WARP
            assert plan.vectors <= MAX_VECTORS


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("in_flight", [1, 2, 4, 8])
def test_parts_cover_rows_of_any_width(dtype: torch.dtype, in_flight: int) -> None:
    listed = {plan.template(dtype) for plan in channel_plans(dtype, in_flight)}
    for width in [*range(1, 300), 1000, 4096, 100_003]:
        plan = channel_lanes_for(dtype, width, in_flight)
        assert plan.template(dtype) in listed
        assert plan.vectors * plan.unroll == in_flight
        parts = -(-width // plan.channels)
        assert (parts - 1) * plan.channels < width <= parts * plan.channels


@pytest.mark.parametrize(
    ("dtype", "width", "limit", "multiple", "most"),
    [
        (torch.float32, 257, 256, 4, 1024),
        (torch.float16, 514, 512, 8, 2048),
        (torch.float64, 514, 512, 2, 512),
        (torch.bfloat16, 2056, 2048, 8, 2048),
    ],
)
def test_a_head_too_wide_names_the_limit(
    dtype: torch.dtype, width: int, limit: int, multiple: int, most: int
) -> None:
    message = rf"{width} channels is too wide.*at most {limit} .*multiple of {multiple} .*{most}\)"
    with pytest.raises(InputError, match=message):
        lanes_for(dtype, width)
    assert lanes_for(dtype, most).channels == most


def test_powers_of_two() -> None:
    assert list(powers_of_two(8)) == [1, 2, 4, 8]
    assert [power_of_two_above(n) for n in (0, 1, 2, 3, 4, 5, 31, 32, 33)] == [
        *(1, 1, 2, 4, 4, 8, 32, 32, 64)
    ]
    assert [vector_for(torch.float16, width) for width in (1, 2, 6, 12, 24, 100, 64)] == [
        *(1, 2, 2, 4, 8, 4, 8)
    ]


def test_aligned_copies_only_what_it_must() -> None:
    features = torch.randn(64)
    assert aligned(features) is features
    for moved in (features[1:], features[3:], features.view(8, 8).t()):
        copy = aligned(moved)
        assert copy.data_ptr() % 16 == 0
        assert copy.is_contiguous()
        assert torch.equal(copy, moved)
    assert aligned(features[4:]).data_ptr() == features[4:].data_ptr()
