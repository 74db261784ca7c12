"""The commands on the record of a study."""

import json

from tests.cli.conftest import Call, Desk


def test_drift_ends_as_diff_does(call: Call, desk: Desk) -> None:
    said = call("drift", "studies/skin")
    assert said.code == 0
    assert said.out == "Nothing that was compared differs from the latest run.\n"
    desk.edit("replicates: 30", "replicates: 40")
    said = call("drift", "study.yaml")
    assert said.code == 1
    assert "study.evaluation.replicates  30    40" in said.out
    plain = json.loads(call("drift", "study.yaml", "--json").out)
    assert [item["now"] for item in plain["differences"]] == [40]


def test_a_run_that_is_not_there_is_refused(call: Call, desk: Desk) -> None:
    said = call("reproduce", "nothing")
    assert said.code == 2
    assert "is not finished or not there" in said.err
