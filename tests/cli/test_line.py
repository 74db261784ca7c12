"""Plain text that is never cut by a narrow terminal, and says a message in one line."""

import pytest

from medtransfer.cli.display import duration, one_line, print_table


def test_columns_are_aligned_and_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "scratch/timm:" + "x" * 200
    print_table(("rung", "runs", "note"), [[long, "12", ""], ["a", "3", "b"]], right=(1,))
    head, first, second = capsys.readouterr().out.splitlines()
    assert first == f"{long}    12"
    assert second == f"a{' ' * (len(long) - 1)}     3  b"
    assert head.index("runs") == first.index("  12")
    assert not any(line.endswith(" ") for line in (head, first, second))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0:00"),
        (59.6, "1:00"),
        (61, "1:01"),
        (3599, "59:59"),
        (3661, "1:01:01"),
        (360_000, "100:00:00"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_message_of_several_lines_becomes_one_without_strange_letters() -> None:
    message = "Weights cannot be used:\n  - a is 3×7\n  - b is 1×1\nCheck \x1b[31mthe rung."
    said = one_line(message)
    assert said == "Weights cannot be used: - a is 3×7 - b is 1×1 Check �[31mthe rung."
    assert one_line("x" * 400).endswith("…")
    assert len(one_line("x" * 400)) == 300
