"""Fetch of an archive's images into a folder, which goes on where it was stopped.

Every file is written whole or not at all, under pseudonyms: what is there is not fetched again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

from medtransfer.data.sources.archive.label_table import KEY, open_labels
from medtransfer.data.sources.archive.pseudonyms import digest_of, open_secret
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
"""Images in a row that cannot be fetched before the fetch stops: the archive is gone."""
Query = dict[str, str]
"""A question for studies: values by the keywords of the standard."""
WILD = r"[*?\\]"
"""Signs in a key that an archive takes for a pattern or a list."""


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
        offered = _offered(archive, queries, progress)
        wanted, left_out = _wanted(offered, filters)
        places = {
            image: folder
            / f"s{digest_of(secret, 'study', image.study)}"
            / f"i{digest_of(secret, 'image', image.instance)}.dcm"
            for image in wanted
        }
        missing = [image for image in wanted if not places[image].exists()]
        faults = _fetch(archive, missing, places, progress)
    present = len(wanted) - len(missing)
    studies = len({image.study for image in offered})
    notes.append(
        f"The archive has {plural(len(offered), 'object')} of {plural(studies, 'study')}: "
        f"{plural(len(missing) - sum(faults.values()), 'image')} fetched, {present:,} there already"
        f"{_left_out_text(left_out)}."
    )
    if faults:
        counts = ", ".join(f"{fault} ({count:,})" for fault, count in faults.most_common())
        raise StudyError(
            f"{notes[-1]} {plural(sum(faults.values()), 'image')} could not be fetched: {counts}. "
            "Run the same command again to fetch the rest, or import what is there: medtransfer "
            f"import dicom {folder}"
        )
    if not wanted:
        raise StudyError(f"{notes[-1]} Nothing is left to import.")
    return Fetched(folder, tuple(notes))


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


def _offered(archive: WebArchive, queries: list[Query], progress: Progress) -> list[OfferedImage]:
    """Every object of the studies that are asked for, in the order of the questions.

    Raises:
        StudyError: The archive does not answer.
    """
    offered: dict[OfferedImage, None] = {}
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            answers = pool.map(archive.studies, queries)
            studies = list(dict.fromkeys(study for answer in answers for study in answer))
            for done, images in enumerate(pool.map(archive.images, studies), start=1):
                offered |= dict.fromkeys(images)
                progress(done, len(studies))
    except FetchError as fault:
        raise no_answer(fault) from None
    return list(offered)


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

    def fetch(image: OfferedImage) -> str:
        try:
            content = archive.file(image)
        except FetchError as fault:
            return str(fault)
        write_bytes(places[image], content)
        return ""

    faults: Counter[str] = Counter()
    in_a_row = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for done, fault in enumerate(pool.map(fetch, images), start=1):
            in_a_row = in_a_row + 1 if fault else 0
            faults += Counter([fault] if fault else [])
            progress(done, len(images))
            if in_a_row >= MAX_FAULTS:
                pool.shutdown(wait=False, cancel_futures=True)
                raise StudyError(
                    f"{plural(in_a_row, 'image')} in a row could not be fetched ({fault}). "
                    f"{plural(done - sum(faults.values()), 'image')} came and are kept: run the "
                    "same command again to fetch the rest."
                )
    return faults


def _left_out_text(left_out: Counter[str]) -> str:
    if not left_out:
        return ""
    counts = ", ".join(f"{kind} ({count:,})" for kind, count in left_out.most_common())
    return f"; not fetched: {counts}"
