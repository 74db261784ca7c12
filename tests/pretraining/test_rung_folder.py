"""The model card of a rung: every fact of its recipe, weights and validations."""

from medtransfer.pretraining.config import Pretrain
from medtransfer.pretraining.rung_folder import RungRecord, model_card
from medtransfer.runs.records import RungCheck, RungCost

FACTS = RungRecord(
    name="own/natural",
    architecture="r50x1",
    pretraining="<natural> images",
    images=1_234_567,
    images_before=0,
    images_held_out=12_345,
    classes=21_000,
    continued_from="scratch/r50x1",
    sha256="a" * 64,
    licence="CC BY-NC 4.0",
    note="",
    run_id="b" * 12,
    recipe={},
    last_look=None,
)
COST = RungCost(seconds=7200.0, steps=3_000, images_seen=12_288_000)
HISTORY = (
    RungCheck(1_500, 0.03, 2.34567, 1.98766, None),
    RungCheck(3_000, 0.00003, 1.23456, 1.11111, 0.87654),
)


def card(run: Pretrain, *notes: str, **facts: object) -> str:
    """The card of a rung whose facts are changed."""
    return model_card(run, RungRecord(**{**vars(FACTS), **facts}), COST, HISTORY, notes)  # type: ignore[arg-type]


def test_a_card_lists_the_facts_of_the_rung(recipe: Pretrain) -> None:
    lines = card(recipe, "3 images without a label: left out.").splitlines()
    assert lines[0] == "# own/natural"
    assert lines[2] == (
        "A backbone for fine-tuning: `r50x1`, trained with labels on 1,234,567 images (<natural> "
        "images), from scratch/r50x1."
    )
    assert lines[4:13] == [
        "| fact | value |",
        "| --- | --- |",
        "| images trained on, held out | 1,234,567, 12,345 |",
        "| classes | 21,000 (single-label) |",
        "| images seen | 12,288,000 in 3,000 steps |",
        "| input | 16 px, cut from 18 px |",
        "| batch, learning rate, weight decay | 16, 0.05, 0.0001 |",
        "| seed | 0 |",
        f"| weights | SHA-256 {'a' * 64} |",
    ]
    assert lines[13] == "| licence | CC BY-NC 4.0 |"
    assert "top-1 accuracy" in lines[15]
    assert lines[17:21] == [
        "| step | learning rate | training loss | held-out loss | held-out score |",
        "| ---: | ---: | ---: | ---: | ---: |",
        "| 1,500 | 0.03 | 2.3457 | 1.9877 | – |",
        "| 3,000 | 3e-05 | 1.2346 | 1.1111 | 0.8765 |",
    ]
    assert lines[21:24] == ["", "- 3 images without a label: left out.", ""]
    assert "no study may test on the same patients" in lines[24]
    assert len(lines) == 25


def test_a_card_of_random_weights_without_notes_says_so(recipe: Pretrain) -> None:
    text = card(recipe, continued_from=None)
    assert "from random weights." in text
    assert "| 0.8765 |\n\nFine-tune this backbone before use." in text


def test_a_card_of_a_multi_label_rung_names_its_score(recipe: Pretrain) -> None:
    data = recipe.data.model_copy(update={"task": "multi-label"})
    text = card(recipe.model_copy(update={"data": data}))
    assert "| classes | 21,000 (multi-label) |" in text
    assert "macro AUROC" in text
