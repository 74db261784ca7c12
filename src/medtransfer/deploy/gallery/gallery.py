"""Gallery of a study's cases: a local page with images of patients, for whoever may see them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from medtransfer.data.cases import reported_groups
from medtransfer.deploy.bundle.choice import best_seed, choose_runs
from medtransfer.deploy.gallery.fiftyone import write_fiftyone
from medtransfer.deploy.gallery.page import CardSection, CaseCard, gallery_page
from medtransfer.deploy.gallery.pictures import (
    CasePicture,
    image_contents,
    picture,
    shown_pixels,
)
from medtransfer.deploy.gallery.selection import (
    GalleryCase,
    GalleryChoice,
    chosen_point,
    chosen_sections,
)
from medtransfer.errors import ConfigError, ImageError, StudyError, plural
from medtransfer.files import write_text
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import RunData
from medtransfer.runs.messages import RunRequest
from medtransfer.tables.manifest import Manifest

if TYPE_CHECKING:
    from medtransfer.deploy.gallery.explained import ExplainedRun

PAGE = "gallery.html"
MAX_PICTURES = 4
"""Images of a case that are shown."""


@dataclass(frozen=True)
class Gallery:
    """A gallery that was written.

    Attributes:
        page: The page; it holds images of patients.
        cases: Number of cases on it.
        lines: What is shown, of which run, and the check of the heat maps.
        fiftyone: Folder with the same list for FiftyOne; None without one.
    """

    page: Path
    cases: int
    lines: tuple[str, ...]
    fiftyone: Path | None


def make_gallery(
    study: StudyFolder | Path | str,
    out: Path | str,
    choice: GalleryChoice | None = None,
    *,
    rung: str | None = None,
    run_id: str | None = None,
    heat_maps: bool = False,
    fiftyone: bool = False,
) -> Gallery:
    """Write a local page with a study's worst errors, or its uncertain or foreign cases.

    Args:
        study: The study's folder.
        out: Folder of the gallery; never the study's own.
        choice: Which cases.
        rung: Rung whose predictions count; by default the only one, or the recommended.
        run_id: One run, in place of a rung.
        heat_maps: True to lay heat maps over the images; needs the run's weights.
        fiftyone: True to write the same list for FiftyOne.

    Returns:
        The page and the cases on it.

    Raises:
        ConfigError: A name does not exist, or `out` lies in the study's folder.
        StudyError: The study is not finished, or its images have changed.
    """
    out, choice = Path(out), choice or GalleryChoice()
    folder = study if isinstance(study, StudyFolder) else StudyFolder(Path(study))
    require_outside(folder, out)
    request = best_seed(folder, choose_runs(folder, rung=rung, run_id=run_id).requests)
    shown = _Shown(folder, request)
    point = chosen_point(request.run.evaluation.operating_points, choice.point)
    sections = chosen_sections(
        shown.predictions, shown.attributes, request.run.data.task, replace(choice, point=point)
    )
    explained = None
    if heat_maps:
        from medtransfer.deploy.gallery.explained import ExplainedRun  # loads torch

        explained = ExplainedRun.open(folder, request)
    cases: list[CaseCard] = []
    cards: list[CardSection] = []
    for section in sections:
        of_section = list(shown.cards(section.cases, len(cases), explained))
        cases += of_section
        lead = f"{len(of_section):,} of {plural(section.total, 'case')}"
        cards.append(CardSection(section.title, lead, of_section))
    lines = [
        f"Run {request.run_id}: {request.rung}, seed {request.seed}. {_filter(choice)}".strip()
    ]
    if explained is not None:
        lines.append(explained.sentence())
    page = out / PAGE
    write_text(page, gallery_page(f"{folder.read('study.json')['name']}: gallery", lines, cards))
    listed = None
    if fiftyone:
        listed = write_fiftyone(out / "fiftyone", cases)
    return Gallery(page, len(cases), tuple(lines), listed)


class _Shown:
    """Images, predictions and attributes of a run."""

    def __init__(self, study: StudyFolder, request: RunRequest) -> None:
        data, run = request.run.data, study.run(request.run_id)
        run.require_sealed()
        self.predictions = run.predictions()
        self._manifest: Manifest = RunData(request.run, study.images, request.inputs).manifest
        self._limit, self._framing = data.pixel_limit, data.image.framing
        frame = self._manifest.frame
        names = [name for name in data.attributes if name in frame.columns]
        self.attributes = reported_groups(frame, names)
        indexed = frame.select("case_id", "image_id").with_row_index("index")
        grouped = indexed.sort("case_id", "image_id").group_by("case_id", maintain_order=True)
        self._rows: Mapping[str, list[int]] = dict(grouped.agg("index").iter_rows())
        self._names = request.run.data.names

    def cards(
        self, cases: Sequence[GalleryCase], before: int, explained: "ExplainedRun | None"
    ) -> Iterator[CaseCard]:
        """Cards of cases, with their images."""
        facts = dict(self._facts(cases))
        images = {case.case_id: self._rows[case.case_id][:MAX_PICTURES] for case in cases}
        contents = image_contents(self._manifest, [row for rows in images.values() for row in rows])
        for number, case in enumerate(cases, start=before + 1):
            pictures: list[CasePicture] = []
            maps: list[CasePicture] = []
            notes: list[str] = []
            for row in images[case.case_id]:
                content, frame = contents[row]
                try:
                    pixels, ratio = shown_pixels(content, self._limit, frame)
                except ImageError as error:
                    notes.append(f"an image {error}")
                    continue
                pictures.append(picture(pixels, ratio))
                if explained is not None:
                    output = self._names.index(case.target)
                    heat = explained.heat(content, frame, output)
                    if not self._framing.is_whole:  # the map is of what the network saw
                        pixels, ratio = shown_pixels(content, self._limit, frame, self._framing)
                    maps.append(picture(pixels, ratio, heat.heat))
                    notes += [heat.words(), *self._framing_note()]
            rest = len(self._rows[case.case_id]) - len(images[case.case_id])
            if rest:
                notes.append(f"{plural(rest, 'image')} more")
            yield CaseCard(
                number=number,
                case=case,
                facts=facts.get(case.case_id, []),
                pictures=pictures,
                maps=maps,
                notes=notes,
            )

    def _framing_note(self) -> list[str]:
        """Words on what of the image its map is of; none if it is of all."""
        if self._framing.is_whole:
            return []
        mirrored = "" if self._framing.chest_wall == "either" else "; it may be mirrored"
        return [f"map: of the {self._framing.words()}{mirrored}"]

    def _facts(self, cases: Sequence[GalleryCase]) -> Iterator[tuple[str, list[str]]]:
        ids = pl.Series([case.case_id for case in cases], dtype=pl.String)
        chosen = self.attributes.filter(pl.col("case_id").is_in(ids.implode()))
        for row in chosen.iter_rows(named=True):
            facts = [
                f"{name} {value}" for name, value in row.items() if name != "case_id" and value
            ]
            yield row["case_id"], facts


def gallery_choice(
    *,
    errors: bool = False,
    uncertain: bool = False,
    ood: bool = False,
    group: str | None = None,
    count: int = 50,
    target: str | None = None,
    cohort: str | None = None,
    detector: str | None = None,
    point: str | None = None,
) -> GalleryChoice:
    """A choice as it is typed on a command line, checked.

    Raises:
        ConfigError: Several kinds are asked for, or a group is not written as ``sex=F``.
    """
    kinds = {"errors": errors, "uncertain": uncertain, "ood": ood}
    asked = [name for name, is_asked in kinds.items() if is_asked]
    if len(asked) > 1:
        raise ConfigError(f"--{' and --'.join(asked)} cannot be asked for together: give one.")
    attribute, equals, value = (group or "").partition("=")
    if group is not None and not (attribute and equals and value):
        raise ConfigError(f"--group is '{group}' (write it as attribute=value, e.g. sex=F).")
    if count < 1:
        raise ConfigError(f"-n is {count} (allowed: 1 and more).")
    return GalleryChoice(
        order="uncertain" if uncertain else "ood" if ood else "errors",
        count=count,
        target=target,
        group=None if group is None else (attribute, value),
        cohort=cohort,
        detector=detector,
        point=point,
    )


def _filter(choice: GalleryChoice) -> str:
    parts = [f"{choice.group[0]} is {choice.group[1]}"] if choice.group else []
    parts += [f"cohort is {choice.cohort}"] if choice.cohort else []
    return f"Cases whose {' and '.join(parts)}." if parts else ""


def require_outside(study: StudyFolder, out: Path) -> None:
    """Refuse a file, and the study's own folder: a gallery must not go where a report goes.

    Raises:
        ConfigError: It lies in the study's folder.
        StudyError: It is a file.
    """
    if out.is_file():
        raise StudyError(f'"{out}" is a file. Name a folder with --out.')
    if out.resolve().is_relative_to(study.path.resolve()):
        raise ConfigError(
            f'"{out}" lies in the folder of the study, which is passed on with its report. A '
            "gallery holds images of patients: name another folder with --out."
        )
