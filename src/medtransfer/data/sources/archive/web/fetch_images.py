"""Fetch of an archive's images into a folder, which goes on where it was stopped.

Every file is written whole or not at all, under pseudonyms: what is there is not fetched again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TypeVar

from medtransfer.data.sources.archive.label_table import KEY, open_labels
from medtransfer.data.sources.archive.parallel import in_parallel
from medtransfer.data.sources.archive.pseudonyms import Secret, digest_of, open_secret
from medtransfer.data.sources.archive.selection import Filters, read_filters, unwanted_kind
from medtransfer.data.sources.archive.web.web_archive import (
    FetchError,
    OfferedImage,
    WebArchive,
    no_answer,
    quiet_client,
)
from medtransfer.data.sources.source import Fetched, Progress
from medtransfer.errors import ConfigError, StudyError, fault_list, plural
from medtransfer.files import make_folder, write_bytes

THREADS = 4
"""Requests at a time: an archive has other work to do."""
MAX_FAULTS = 20
"""Faults in a row before the fetch stops: the archive is gone."""
T = TypeVar("T")
R = TypeVar("R")
Query = dict[str, str]
"""A question for studies: values by the keywords of the standard."""
WILD = r"[*?\\]"
"""Signs in a key that an archive takes for a pattern or a list."""


class Faults:
    """Faults by kind, and an end to a fetch from an archive that is gone.

    Args:
        what: What fails, in the singular.
    """

    def __init__(self, what: str) -> None:
        self.counts: Counter[str] = Counter()
        self._what = what
        self._in_a_row = 0

    def end_row(self) -> None:
        """Note that something came."""
        self._in_a_row = 0

    def add(self, fault: FetchError) -> None:
        """Note a fault.

        Raises:
            StudyError: It is the last of `MAX_FAULTS` in a row.
        """
        self.counts[str(fault)] += 1
        self._in_a_row += 1
        if self._in_a_row >= MAX_FAULTS:
            raise StudyError(
                f"{plural(self._in_a_row, self._what)} in a row without an answer of the archive "
                f"({fault}). What came is kept: run the same command again to fetch the rest."
            )


def fetch_images(address: str, options: Mapping[str, str], progress: Progress) -> Fetched:
    """Fetch the images that the options ask for into option ``into``.

    With a table of labels its studies are asked for, one by one; without one, those of the given
    modalities and days.

    Raises:
        ConfigError: The address, a filter or the secret is unfit, or there is no filter at all.
        TableError: The table of labels is unfit.
        StudyError: The archive does not answer, or images could not be fetched; those that came
            are kept.
    """
    filters = read_filters(options)
    queries, notes = _queries(options, filters)
    archive = WebArchive(address, options["token"])
    folder = make_folder(Path(options["into"]).expanduser())
    secret = open_secret(options["secret"], folder)
    with quiet_client():
        offered, unanswered = _offered(archive, queries, progress)
        wanted, left_out = _wanted(offered, filters)
        places = {image: _place(image, folder, secret) for image in wanted}
        missing = [image for image in wanted if not places[image].exists()]
        lost = _fetch(archive, missing, places, progress)
    studies = len({image.study for image in offered})
    counts = (
        f"The archive has {plural(len(offered), 'object')} of {plural(studies, 'study')}: "
        f"{plural(len(missing) - lost.total(), 'image')} fetched, "
        f"{len(wanted) - len(missing):,} there already{_left_out_text(left_out)}."
    )
    if unanswered or lost:
        faults = _fault_text(unanswered, "question") + _fault_text(lost, "image")
        raise StudyError(
            f"{counts} {faults}Run the same command again to fetch the rest, or import what is "
            f"there: medtransfer import dicom {folder}"
        )
    if not wanted:
        raise StudyError(f"{counts} Nothing is left to import.")
    return Fetched(folder, (*notes, counts))


def _place(image: OfferedImage, folder: Path, secret: Secret) -> Path:
    """File of an image: its name holds pseudonyms, as the manifest does."""
    study, instance = (
        digest_of(secret, kind, uid)
        for kind, uid in (("study", image.study), ("image", image.instance))
    )
    return folder / f"s{study}" / f"i{instance}.dcm"


def _queries(options: Mapping[str, str], filters: Filters) -> tuple[list[Query], list[str]]:
    """The questions to ask, and notes on keys that cannot be asked for.

    Raises:
        ConfigError: A day is none, or nothing limits what is fetched.
        TableError: The table of labels lacks a column.
    """
    days = _days(options)
    if options["labels"]:
        table = open_labels(options)
        keys = table.rows[KEY].drop_nulls().unique(maintain_order=True)
        wild = keys.str.contains(WILD)
        notes: list[str] = []
        if wild.any():
            notes.append(
                f"{plural(int(wild.sum()), 'id')} of {table.name} with *, ? or \\ in it not asked "
                "for: an archive takes that for a pattern."
            )
        return [days | {table.key: key} for key in keys.filter(~wild)], notes
    if filters.modalities:
        return [days | {"ModalitiesInStudy": word} for word in filters.modalities], []
    if not days:
        raise ConfigError(
            "Nothing says which studies to fetch, and a whole archive is not fetched. Give "
            "--labels TABLE, --option modality=…, or --option from=… and to=…"
        )
    return [days], []


def _days(options: Mapping[str, str]) -> Query:
    """The filter for the days of studies; none if no day is given.

    Raises:
        ConfigError: A day is none; both of them.
    """
    days: dict[str, str] = {}
    faults: list[str] = []
    for name in ("from", "to"):
        try:
            days[name] = f"{date.fromisoformat(options[name]):%Y%m%d}" if options[name] else ""
        except ValueError:
            faults.append(f"option '{name}' holds '{options[name]}' (allowed: a day as 2019-01-31)")
    if faults:
        raise ConfigError(fault_list("The studies cannot be chosen so", faults))
    return {"StudyDate": f"{days['from']}-{days['to']}"} if any(days.values()) else {}


def _offered(
    archive: WebArchive, queries: list[Query], progress: Progress
) -> tuple[list[OfferedImage], Counter[str]]:
    """Every object of the studies that are asked for, and faults by kind.

    Raises:
        StudyError: The archive does not answer the first question, or `MAX_FAULTS` in a row.
    """
    faults = Faults("question")
    studies: dict[str, None] = {}
    with closing(in_parallel(_answered(archive.studies), queries, THREADS)) as answers:
        for number, answer in enumerate(answers):
            if isinstance(answer, FetchError):
                if number == 0:
                    raise no_answer(answer)
                faults.add(answer)
            else:
                faults.end_row()
                studies |= dict.fromkeys(answer)
    offered: dict[OfferedImage, None] = {}
    with closing(in_parallel(_answered(archive.images), studies, THREADS)) as lists:
        for done, images in enumerate(lists, start=1):
            if isinstance(images, FetchError):
                faults.add(images)
            else:
                faults.end_row()
                offered |= dict.fromkeys(images)
            progress(done, len(studies))
    return list(offered), faults.counts


def _wanted(
    offered: Iterable[OfferedImage], filters: Filters
) -> tuple[list[OfferedImage], Counter[str]]:
    """The images to fetch, and the others by kind."""
    wanted: list[OfferedImage] = []
    left_out: Counter[str] = Counter()
    for image in offered:
        kind = unwanted_kind(image.sop_class, image.frames, image.modality, filters)
        if kind is None:
            wanted.append(image)
        else:
            left_out[kind] += 1
    return wanted, left_out


def _fetch(
    archive: WebArchive,
    images: list[OfferedImage],
    places: Mapping[OfferedImage, Path],
    progress: Progress,
) -> Counter[str]:
    """Fetch images, several at a time; faults by kind.

    Raises:
        StudyError: `MAX_FAULTS` images in a row could not be fetched.
    """

    def fetch(image: OfferedImage) -> None:
        write_bytes(places[image], archive.file(image))

    faults = Faults("image")
    with closing(in_parallel(_answered(fetch), images, THREADS)) as results:
        for done, fault in enumerate(results, start=1):
            if fault is None:
                faults.end_row()
            else:
                faults.add(fault)
            progress(done, len(images))
    return faults.counts


def _answered(ask: Callable[[T], R]) -> Callable[[T], R | FetchError]:
    """A question whose fault is its answer."""

    def answer(item: T) -> R | FetchError:
        try:
            return ask(item)
        except FetchError as fault:
            return fault

    return answer


def _fault_text(faults: Counter[str], what: str) -> str:
    if not faults:
        return ""
    counts = ", ".join(f"{fault} ({count:,})" for fault, count in faults.most_common())
    return f"{plural(faults.total(), what)} without an answer: {counts}. "


def _left_out_text(left_out: Counter[str]) -> str:
    if not left_out:
        return ""
    counts = ", ".join(f"{kind} ({count:,})" for kind, count in left_out.most_common())
    return f"; not fetched: {counts}"
