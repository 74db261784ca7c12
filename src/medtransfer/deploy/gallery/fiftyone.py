"""A gallery's list in a format that FiftyOne opens: `FiftyOneImageClassificationDataset`."""

from collections.abc import Sequence
from pathlib import Path

from medtransfer.deploy.gallery.page import CaseCard
from medtransfer.files import make_folder, remove, write_bytes, write_json


def write_fiftyone(folder: Path, cards: Sequence[CaseCard]) -> Path:
    """Write the images and ``labels.json``; an earlier list is replaced.

    Args:
        folder: To write.
        cards: Cases of the gallery.

    Returns:
        The folder.
    """
    remove(folder)
    make_folder(folder / "data")
    labels: dict[str, object] = {}
    for card in cards:
        for place, image in enumerate(card.pictures):
            name = f"{card.number:04d}-{place}"
            write_bytes(folder / "data" / f"{name}.png", image.png)
            case = card.case
            labels[name] = {
                "label": case.answer,
                "confidence": case.probability,
                "attributes": {
                    "truth": case.truth,
                    "target": case.target,
                    "case_id": case.case_id,
                    "cohort": case.cohort,
                    "rank_value": case.rank_value,
                },
            }
    write_json(folder / "labels.json", {"classes": None, "labels": labels})
    return folder
