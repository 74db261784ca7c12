"""The folder of a rung of one's own, and its model card. No torch.

```
rungs/<name>/
├── run.json environment.json history.jsonl cost.json    what was run, where, how it went
├── model.safetensors rung.json README.md                the weights, their facts, the model card
├── trained_on.parquet                                   digests of the images they learned from
├── images.parquet progress.json checkpoint/             while it trains
└── done (last) | error.json
rungs/cache/                                             prepared images; may be deleted
```
"""

from pathlib import Path
from typing import Any

import polars as pl

from medtransfer.errors import StudyError
from medtransfer.files import read_json, remove, sha256, write_json, write_text
from medtransfer.models.ladder import Rung
from medtransfer.models.own_rungs import FACTS, MODEL, OWN, RUNGS
from medtransfer.pretraining.config import Pretrain
from medtransfer.pretraining.dataset import Upstream
from medtransfer.pretraining.leakage import TRAINED_ON, pretrained_files, short_digests
from medtransfer.runs.folders import RunFolder
from medtransfer.tables.schema import write_frame

CARD = "README.md"


class RungFolder(RunFolder):
    """The folder of one pre-training run, and of the rung it ends in."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.model = path / MODEL
        self.images = path / "images.parquet"
        self.cache = path.parent / "cache"

    @staticmethod
    def of(run: Pretrain, out: Path | None = None) -> "RungFolder":
        """The folder of a run: ``rungs/<name>`` by default."""
        return RungFolder(out or RUNGS / run.name)

    def claim(self, run_id: str) -> None:
        """Make the folder this run's.

        Raises:
            StudyError: It holds another run, or something else.
        """
        record = self.path / "run.json"
        if record.is_file():
            other = read_json(record)["run_id"]
            if other != run_id:
                raise StudyError(
                    f'"{self.path}" holds another pre-training run ({other}, not {run_id}): the '
                    "recipe or the images have changed since. Give it another name, or remove the "
                    "folder."
                )
        elif (self.path / FACTS).is_file():
            raise StudyError(f'"{self.path}" holds a rung that was not made here. Rename the run.')

    def write_rung(
        self, run: Pretrain, upstream: Upstream, start: Rung, cost: dict[str, Any]
    ) -> None:
        """Write what the weights are: facts for studies, a card for readers."""
        history = self.history()
        facts = {
            "name": f"{OWN}/{run.name}",
            "architecture": start.architecture.name,
            "pretraining": run.about or f"{len(upstream.classes):,} classes",
            "images": len(upstream.train),
            "images_before": 0 if start.is_random else start.images,
            "images_held_out": len(upstream.held_out),
            "classes": len(upstream.classes),
            "continued_from": None if start.is_random else start.name,
            "supervised": True,
            "sha256": sha256(self.model),
            "licence": run.licence,
            "note": "" if start.is_random else f"Pre-training went on from {start.name}.",
            "run_id": read_json(self.path / "run.json")["run_id"],
            "recipe": run.scope("identity"),
            "last_look": history[-1] if history else None,
        }
        write_json(self.path / "cost.json", cost)
        write_json(self.path / "classes.json", list(upstream.classes))
        write_json(self.path / FACTS, facts)
        write_text(self.path / CARD, model_card(facts, cost, history, upstream.notes))

    def write_trained_on(self, start: str, digests: pl.Series) -> None:
        """Write down which files were trained on, for studies to compare.

        Args:
            start: The rung that training went on from; its files count, too.
            digests: SHA-256 of this run's files.
        """
        own, before = short_digests(digests).to_frame(), pretrained_files(start)
        seen = own if before is None else pl.concat([own, before])
        write_frame(seen.unique().sort(pl.all()), self.path / TRAINED_ON)

    def finish(self) -> None:
        """Mark the rung as made, with the digest of its weights; nothing is written after."""
        write_json(self.path / "done", {"model": sha256(self.model)})
        remove(self.checkpoint)


def model_card(
    facts: dict[str, Any],
    cost: dict[str, Any],
    history: list[dict[str, Any]],
    notes: tuple[str, ...],
) -> str:
    """A page about a rung, after Mitchell et al. 2019: what it is, how it was made, its limits.

    Args:
        facts: As in ``rung.json``.
        cost: As in ``cost.json``.
        history: The looks at the images held out.
        notes: What was left out of the images.
    """
    data, training = facts["recipe"]["data"], facts["recipe"]["training"]
    score = "top-1 accuracy" if data["task"] == "single-label" else "macro AUROC"
    began = facts["continued_from"] or "random weights"
    lines = [
        f"# {facts['name']}",
        "",
        (
            f"A backbone for fine-tuning: `{facts['architecture']}`, trained with labels on "
            f"{facts['images']:,} images ({facts['pretraining']}), from {began}."
        ),
        "",
        "| fact | value |",
        "| --- | --- |",
        f"| images trained on, held out | {facts['images']:,}, {facts['images_held_out']:,} |",
        f"| classes | {facts['classes']:,} ({data['task']}) |",
        f"| images seen | {cost['images_seen']:,} in {cost['steps']:,} steps |",
        f"| input | {data['crop']} px, cut from {data['resize']} px |",
        (
            f"| batch, learning rate, weight decay | {training['batch_size']:,}, "
            f"{training['learning_rate']:g}, {training['weight_decay']:g} |"
        ),
        f"| seed | {facts['recipe']['seed']} |",
        f"| weights | SHA-256 {facts['sha256']} |",
        f"| licence | {facts['licence']} |",
        "",
        f"On the images held out, which were not trained on ({score}):",
        "",
        "| step | learning rate | loss in training | loss held out | score held out |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in history:
        said = "–" if row["held_out_score"] is None else f"{row['held_out_score']:.4f}"
        lines.append(
            f"| {row['step']:,} | {row['learning_rate']:.4g} | {row['train_loss']:.4f} | "
            f"{row['held_out_loss']:.4f} | {said} |"
        )
    lines += ["", *(f"- {note}" for note in notes)]
    lines += [
        "",
        (
            "To be fine-tuned, not to be used as it is. Nothing is known of how it serves any "
            "group of patients before it is fine-tuned and tested on them. If images of patients "
            "were trained on, no study may test on the same patients."
        ),
    ]
    return "\n".join(lines) + "\n"
