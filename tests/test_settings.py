"""Every field of a configuration takes a side, and sides decide what a digest covers."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medtransfer.settings import (
    Settings,
    Side,
    digest,
    identity,
    identity_if_set,
    runtime,
    scoring,
    sides_of,
)
from tests.strategies import FEW, finite


class Inner(Settings):
    """Nested."""

    rate: float = identity(0.1, gt=0)
    """A rate."""
    workers: int = runtime(4)
    """Workers."""
    points: tuple[float, ...] = scoring((0.5,))
    """Points."""


class Outer(Settings):
    """Holds others."""

    name: str = identity()
    """A name."""
    folder: Path = runtime(Path("here"))
    """A place."""
    inner: Inner = identity(Inner())
    """One."""
    many: dict[str, Inner] = identity({})
    """Several."""
    groups: tuple[str, ...] = scoring(())
    """Groups."""


EXAMPLE = Outer(name="x", many={"b": Inner(rate=0.2), "a": Inner(workers=1)}, groups=("sex", "age"))


def test_every_field_has_its_side() -> None:
    assert sides_of(Outer) == {
        "name": "identity",
        "folder": "runtime",
        "inner": "identity",
        "many": "identity",
        "groups": "scoring",
    }


def test_a_field_without_a_side_is_seen_to_have_none() -> None:
    class Careless(Settings):
        """One forgot."""

        rate: float = 0.1
        """Which side?"""

    assert sides_of(Careless) == {}


def test_identity_holds_what_can_change_a_prediction_through_all_levels() -> None:
    assert EXAMPLE.scope("identity") == {
        "name": "x",
        "inner": {"rate": 0.1},
        "many": {"b": {"rate": 0.2}, "a": {"rate": 0.1}},
    }


def test_scoring_holds_what_changes_results_but_no_prediction() -> None:
    assert EXAMPLE.scope("scoring") == {"inner": {"points": [0.5]}, "groups": ["sex", "age"]}


def test_runtime_holds_what_changes_no_number() -> None:
    assert EXAMPLE.scope("runtime") == {"folder": "here", "inner": {"workers": 4}}


def test_the_sides_together_are_plain_json() -> None:
    whole = EXAMPLE.scope("identity", "scoring", "runtime")
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    assert set(whole) == set(Outer.model_fields)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        EXAMPLE.name = "y"  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [{"name": "x", "nmae": "y"}, {"name": "x", "inner": {"rte": 1}}])
def test_a_misspelt_key_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"nmae|rte"):
        Outer.model_validate(wrong)


def test_rules_of_a_field_hold() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Inner(rate=0)


def test_fields_are_documented_by_the_text_below_them() -> None:
    assert Inner.model_fields["rate"].description == "A rate."


@FEW
@given(rate=finite().filter(lambda x: x > 0), workers=st.integers(), point=finite())
def test_a_digest_moves_with_its_side_and_no_other(rate: float, workers: int, point: float) -> None:
    here, there = Inner(), Inner(rate=rate, workers=workers, points=(point,))
    moves: dict[Side, bool] = {
        "identity": rate != 0.1,
        "runtime": workers != 4,
        "scoring": point != 0.5,
    }
    for side, changed in moves.items():
        assert (digest(here.scope(side)) != digest(there.scope(side))) == changed


@FEW
@given(st.dictionaries(st.text(), st.integers() | finite() | st.text() | st.none()))
def test_a_digest_ignores_the_order_of_keys(value: dict[str, object]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


def test_digests_are_the_same_on_every_machine() -> None:
    text = '{"a":[1,0.5,null],"b":"\\u00e9"}'
    assert digest({"b": "é", "a": [1, 0.5, None]}) == hashlib.sha256(text.encode()).hexdigest()


def test_a_digest_of_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest({"rate": float("nan")})


def test_a_field_that_was_added_later_counts_where_it_is_set() -> None:
    class Grown(Inner):
        """Has one more."""

        blur: float = identity_if_set(0.0)
        """A blur."""

    assert sides_of(Grown)["blur"] == "identity"
    assert (
        Grown().scope("identity") == Grown(blur=0.0).scope("identity") == Inner().scope("identity")
    )
    assert Grown(blur=0.5).scope("identity") == {"rate": 0.1, "blur": 0.5}
