"""Circumstances then and now, as names and values."""

from medtransfer.study.record.differences import Difference, differences, flat, short_text


def test_nested_settings_have_dotted_names() -> None:
    nested = {"training": {"steps": 4}, "rungs": [{"rung": "a"}, {"rung": "b"}], "seeds": [0, 1]}
    assert flat(nested) == {
        "training.steps": 4,
        "rungs.0.rung": "a",
        "rungs.1.rung": "b",
        "seeds": [0, 1],
    }


def test_what_came_went_or_changed_is_named() -> None:
    then = {"a": 1, "b": "x", "gone": None, "same": [1]}
    now = {"a": 2, "c": "y", "same": [1]}
    assert differences(then, now) == [
        Difference("a", 1, 2),
        Difference("b", "x", None),
        Difference("c", None, "y"),
    ]


def test_values_are_short() -> None:
    assert short_text("a" * 64) == f"{'a' * 12}…"
    assert short_text("g" * 64) == f"{'g' * 39}…"
    assert short_text([0, 1]) == "[0, 1]"
    assert short_text(None) == "–"
    assert Difference("seeds", [0], None).texts() == ("seeds", "[0]", "–")
