"""Folder of a pre-trained rung, and its model card. No torch.

```
rungs/<name>/
├── run.json environment.json history.jsonl cost.json    recipe, machine, validations, cost
├── model.safetensors rung.json README.md                the weights, their facts, the model card
├── trained_on.parquet                                   digests of the training images
├── images.parquet progress.json checkpoint/             while it trains
└── done (last) | error.json
rungs/cache/                                             prepared images; may be deleted
```
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from medtransfer.errors import StudyError
from medtransfer.files import read_json, remove, sha256, write_json, write_text
from medtransfer.models.ladder import Rung
from medtransfer.models.own_rungs import FACTS, MODEL, OWN, RUNGS
from medtransfer.pretraining.config import Pretrain
from medtransfer.pretraining.dataset import Upstream
from medtransfer.pretraining.leakage import TRAINED_ON, pretrained_files, short_digests
from medtransfer.runs.folders import RunFolder
from medtransfer.runs.records import RungCheck, RungCost
from medtransfer.tables.schema import write_frame

CARD = "README.md"


@dataclass(frozen=True)
class RungRecord:
    """Content of ``rung.json``.

    Attributes:
        name: Name in a study, `own/<name>`.
        architecture: Of the network.
        pretraining: The training images in a few words.
        images: Number of training images.
        images_before: Training images of the rung that it started from; None if unknown.
        images_held_out: Number of held-out images.
        classes: Number of classes.
        continued_from: Rung that training started from; None for random weights.
        sha256: Digest of the weights file.
        licence: Of the weights.
        note: For readers of the ladder.
        run_id: Of the pre-training run.
        recipe: Settings that can change the weights.
        last_look: The last validation on the held-out images.
        supervised: True: it was trained with labels.
    """

    name: str
    architecture: str
    pretraining: str
    images: int
    images_before: int | None
    images_held_out: int
    classes: int
    continued_from: str | None
    sha256: str
    licence: str
    note: str
    run_id: str
    recipe: Mapping[str, object]
    last_look: Mapping[str, object] | None
    supervised: bool = True


class RungFolder(RunFolder):
    """Folder of a pre-training run and of the rung that it makes."""

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
        """Make this the folder of a run.

        Raises:
            StudyError: It holds another run, or other files.
        """
        record = self.path / "run.json"
        if record.is_file():
            other = read_json(record)["run_id"]
            if other != run_id:
                raise StudyError(
                    f'"{self.path}" holds another pre-training run ({other}, not {run_id}): the '
                    "recipe or the images have changed. Rename the run, or remove the folder."
                )
        elif (self.path / FACTS).is_file():
            raise StudyError(
                f'"{self.path}" holds a rung that this run did not make. Rename the run.'
            )

    def rung_history(self) -> list[RungCheck]:
        """Validations on the held-out images."""
        return [RungCheck.of(row) for row in self.history_rows()]

    def write_rung(self, run: Pretrain, upstream: Upstream, start: Rung) -> None:
        """Write facts of the finished rung for studies, and a model card for readers.

        Args:
            run: Its recipe.
            upstream: Its images.
            start: The rung that training started from.
        """
        history = self.rung_history()
        facts = RungRecord(
            name=f"{OWN}/{run.name}",
            architecture=start.architecture.name,
            pretraining=run.about or f"{len(upstream.classes):,} classes",
            images=len(upstream.train),
            images_before=0 if start.is_random else start.images,
            images_held_out=len(upstream.held_out),
            classes=len(upstream.classes),
            continued_from=None if start.is_random else start.name,
            sha256=sha256(self.model),
            licence=run.licence,
            note="" if start.is_random else f"Pre-training continued from {start.name}.",
            run_id=read_json(self.path / "run.json")["run_id"],
            recipe=run.scope("identity"),
            last_look=asdict(history[-1]) if history else None,
        )
        cost = RungCost.of(read_json(self.path / "cost.json"))
        write_json(self.path / "classes.json", list(upstream.classes))
        write_json(self.path / FACTS, vars(facts))
        write_text(self.path / CARD, model_card(run, facts, cost, history, upstream.notes))

    def write_trained_on(self, start: str, digests: pl.Series) -> None:
        """Write digests of the files that were trained on, for the leak check of studies.

        Args:
            start: The rung that training started from; its files are included.
            digests: SHA-256 of this run's files.
        """
        files, earlier = short_digests(digests).to_frame(), pretrained_files(start)
        all_files = files if earlier is None else pl.concat([files, earlier])
        write_frame(all_files.unique().sort(pl.all()), self.path / TRAINED_ON)

    def finish(self) -> None:
        """Mark the rung as finished, with the digest of its weights; nothing is written after."""
        write_json(self.path / "done", {"model": sha256(self.model)})
        remove(self.checkpoint)


def model_card(
    run: Pretrain,
    facts: RungRecord,
    cost: RungCost,
    history: Sequence[RungCheck],
    notes: Sequence[str],
) -> str:
    """A model card after Mitchell et al. 2019: what the rung is, how it was made, its limits.

    Args:
        run: The recipe.
        facts: Of the rung.
        cost: Of training.
        history: Validations on the held-out images.
        notes: Images that were left out.
    """
    environment = Environment(
        loader=PackageLoader("medtransfer", "pretraining"),
        autoescape=select_autoescape(default=False),  # the card is Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("model_card.md.j2")
    return template.render(run=run, facts=facts, cost=cost, history=history, notes=notes)
