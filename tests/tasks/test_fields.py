"""Fields carry what a recipe's check looks up."""

from dataclasses import MISSING, dataclass, fields

from neighborgraph.tasks.fields import choice, number


@dataclass(frozen=True)
class Example:
    rate: float = number(low=0, high=1)
    size: int = number(low=1, default=7)
    weight: float = number(optional=True)
    word: str = choice("first", "second")


def test_ranges_choices_and_defaults() -> None:
    example = Example(rate=0.5)
    assert (example.size, example.weight, example.word) == (7, None, "first")
    rate, size, _, word = fields(Example)
    assert rate.default is MISSING
    assert dict(rate.metadata) == {"low": 0, "high": 1}
    assert size.metadata["low"] == 1
    assert word.metadata["values"] == ("first", "second")
