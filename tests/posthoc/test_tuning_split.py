"""Only the tuning split may be fitted on, and the refusal says what to do."""

import numpy as np
import pytest

from medtransfer.errors import TableError
from medtransfer.posthoc.tuning_split import require_tune


def test_the_tuning_split_passes_and_so_does_nothing_at_all() -> None:
    require_tune(np.array(["tune", "tune"]), 2, "A threshold")
    require_tune(np.array([], dtype=np.str_), 0, "A threshold")
    require_tune(np.array(["tune"], dtype=object), 1, "A threshold")


def test_one_case_of_another_split_is_refused() -> None:
    with pytest.raises(TableError) as caught:
        require_tune(np.array(["tune", "test"]), 2, "A threshold")
    assert str(caught.value) == (
        "A threshold cannot be fitted on these cases (allowed: split 'tune'): 1 case of split "
        "'test'. Fit on the tuning split alone and apply the result to the other splits."
    )


def test_all_other_splits_are_named_with_their_cases() -> None:
    splits = np.array(["train", "test", "tune", "test", "Tune", "\x1b[31m"])
    with pytest.raises(TableError) as caught:
        require_tune(splits, 6, "Prediction sets")
    text = str(caught.value)
    for fault in ("1 case of split 'train'", "2 cases of split 'test'", "1 case of split 'Tune'"):
        assert fault in text
    assert "split '�[31m'" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("splits", [[], ["tune"], ["tune"] * 3])
def test_splits_of_other_cases_are_a_bug(splits: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{len(splits)} splits were given for 2 cases"):
        require_tune(np.array(splits, dtype=np.str_), 2, "A threshold")
