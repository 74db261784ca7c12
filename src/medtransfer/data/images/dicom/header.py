"""Header of a DICOM file: its technical facts, and the way its pixels are stored.

A `DicomHeader` holds only numbers and words of closed lists, and nothing else of a header leaves
the process that reads it.
"""

import warnings
from collections.abc import Collection
from dataclasses import dataclass

from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.uid import UID

from medtransfer.data.images.dicom.elements import (
    DAMAGE,
    OVERLAY_BITS,
    PIXELS,
    integer,
    is_encapsulated,
    is_little,
    items,
    numbers,
    raw_bytes,
    read_elements,
    word,
)
from medtransfer.data.images.dicom.facts import GREY, DicomHeader
from medtransfer.data.images.dicom.transfer_syntaxes import (
    BIG_ENDIAN,
    EXPLICIT,
    SYNTAXES,
    Syntax,
    reason_unreadable,
)
from medtransfer.errors import ImageError

MODALITIES = frozenset(
    {
        "AR",
        "AS",
        "BDUS",
        "BI",
        "BMD",
        "CF",
        "CP",
        "CR",
        "CS",
        "CT",
        "DD",
        "DF",
        "DG",
        "DM",
        "DS",
        "DX",
        "EC",
        "ECG",
        "EM",
        "ES",
        "FA",
        "FS",
        "GM",
        "HC",
        "IO",
        "IVOCT",
        "IVUS",
        "KER",
        "LP",
        "LS",
        "MA",
        "MG",
        "MR",
        "MS",
        "NM",
        "OAM",
        "OCT",
        "OP",
        "OPM",
        "OPT",
        "OPV",
        "OSS",
        "OT",
        "PA",
        "PT",
        "PX",
        "RF",
        "RG",
        "RTDOSE",
        "RTIMAGE",
        "SC",
        "SEG",
        "SM",
        "ST",
        "TG",
        "US",
        "VA",
        "VF",
        "VL",
        "XA",
        "XC",
    }
)
VIEWS = frozenset(
    {
        "AP",
        "PA",
        "LL",
        "RL",
        "RLD",
        "LLD",
        "RLO",
        "LLO",
        "LAT",
        "LATERAL",
        "CC",
        "MLO",
        "ML",
        "LM",
        "LMO",
        "XCCL",
        "XCCM",
        "FB",
        "SIO",
        "ISO",
        "CV",
        "XCC",
    }
)
LATERALITIES = frozenset("LRBU")
INTENTS = frozenset({"FOR PRESENTATION", "FOR PROCESSING"})
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
PALETTE = "PALETTE COLOR"
DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class DicomFile:
    """A parsed file, inside the process that reads it.

    Attributes:
        header: Facts that may leave the process.
        dataset: The elements that are read at all.
        syntax: Storage of its pixels.
        keyword: Its pixel element: ``PixelData`` or one of the two for floats.
        high_bit: Position of the highest used bit.
        planar: Whether colours are stored plane by plane.
        overlaid: Whether overlays lie in unused bits of the pixels.
    """

    header: DicomHeader
    dataset: Dataset
    syntax: Syntax
    keyword: str
    high_bit: int
    planar: bool
    overlaid: bool

    @property
    def pixels(self) -> bytes:
        """The value of the pixel element, still packed."""
        return raw_bytes(self.dataset, self.keyword)

    @property
    def is_little(self) -> bool:
        """True for a file whose numbers are little endian."""
        return is_little(self.dataset)

    def functional_group(self, frame: int, keyword: str) -> Dataset:
        """Data set with the attributes of a functional group for a frame, counted from 0.

        That is the item of the frame, or the one shared by all frames, or the file itself.
        """
        frame_groups = items(self.dataset, "PerFrameFunctionalGroupsSequence")[frame : frame + 1]
        for groups in (*frame_groups, *items(self.dataset, "SharedFunctionalGroupsSequence")[:1]):
            if group := items(groups, keyword):
                return group[0]
        return self.dataset


def read_header(data: bytes, pixel_limit: int) -> DicomFile:
    """Parse a file without unpacking its pixels.

    Args:
        data: The file's content.
        pixel_limit: Most pixels a frame may claim.

    Raises:
        ImageError: Truncated, without an image, in an unknown format, or over the limit. The
            message is a reason that quotes no text of the file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
        try:
            dataset, uid, media = read_elements(data, pixel_limit)
            if media == DIRECTORY:
                raise ImageError("is a DICOMDIR, a list of files (use the files it lists)")
            return _file(dataset, uid, pixel_limit)
        except RecursionError:
            raise ImageError("has sequences nested too deeply to be read") from None
        except DAMAGE as error:
            kind = type(error).__name__
            raise ImageError(f"has a DICOM header that cannot be read ({kind})") from None


def frame_index(header: DicomHeader, frame: int | None) -> int:
    """Index of a frame, counted from 0, from the manifest's number, counted from 1.

    Raises:
        ImageError: A file of several frames without a number, or a number it does not have.
    """
    if frame is None and header.frames > 1:
        raise ImageError(
            f"holds {header.frames:,} frames: give a frame number, from 1, in a 'frame' column"
        )
    if frame is not None and not 1 <= frame <= header.frames:
        have = "1 frame" if header.frames == 1 else f"{header.frames:,} frames"
        raise ImageError(f"holds {have}, and the manifest asks for frame {frame:,}")
    return (frame or 1) - 1


def _file(dataset: Dataset, uid: str, pixel_limit: int) -> DicomFile:
    keyword = next((name for name in PIXELS if name in dataset), "")
    if not keyword:
        kind = _standard_name(word(dataset, "SOPClassUID"))
        raise ImageError(f"is DICOM without pixels{f' ({kind})' * bool(kind)}")
    syntax = _syntax(dataset, uid)
    floats = keyword != "PixelData"
    allocated = integer(dataset, "BitsAllocated")
    stored = allocated if floats else integer(dataset, "BitsStored", allocated)
    samples = integer(dataset, "SamplesPerPixel", 1)
    header = DicomHeader(
        rows=integer(dataset, "Rows"),
        columns=integer(dataset, "Columns"),
        frames=integer(dataset, "NumberOfFrames", 1) or 1,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        signed=not floats and integer(dataset, "PixelRepresentation", 0) == 1,
        photometric=_photometric(dataset, samples),
        syntax=syntax.name,
        modality=_listed_word(dataset, "Modality", MODALITIES),
        view=_listed_word(dataset, "ViewPosition", VIEWS),
        laterality=_listed_word(dataset, "ImageLaterality", LATERALITIES)
        or _listed_word(dataset, "Laterality", LATERALITIES),
        spacing=_spacing(dataset),
        intent=_listed_word(dataset, "PresentationIntentType", INTENTS),
        burned_in=_listed_word(dataset, "BurnedInAnnotation", ("YES", "NO")),
    )
    _check_sizes(header, keyword, pixel_limit)
    return DicomFile(
        header,
        dataset,
        syntax,
        keyword,
        high_bit=integer(dataset, "HighBit", stored - 1),
        planar=samples > 1 and integer(dataset, "PlanarConfiguration", 0) == 1,
        overlaid=any(_overlay_bit(dataset, tag) > 0 for tag in OVERLAY_BITS),
    )


def _syntax(dataset: Dataset, uid: str) -> Syntax:
    if not uid:
        if is_encapsulated(dataset):
            raise ImageError("has compressed pixels but no transfer syntax")
        uid = EXPLICIT if is_little(dataset) else BIG_ENDIAN
    if uid not in SYNTAXES:
        name = _standard_name(uid)
        what = f"of '{name}'" if name else "that is unknown"
        raise ImageError(f"has a transfer syntax {what} (`medtransfer doctor` lists all readable)")
    syntax = SYNTAXES[uid]
    if reason := reason_unreadable(syntax):
        raise ImageError(f"is stored as {syntax.name}, which cannot be read here: {reason}")
    if (syntax.codec != "native") != is_encapsulated(dataset):
        raise ImageError(f"claims to be stored as {syntax.name} but is not")
    return syntax


def _standard_name(uid: str) -> str:
    """Standard name of an identifier; empty for other texts, which must not be quoted."""
    name = UID(uid).name
    return "" if name == uid else name


def _photometric(dataset: Dataset, samples: int) -> str:
    kind = word(dataset, "PhotometricInterpretation")
    if not kind:
        raise ImageError("has no Photometric Interpretation")
    if kind not in GREY | COLOUR | {PALETTE}:
        allowed = ", ".join(sorted(GREY | COLOUR | {PALETTE}))
        raise ImageError(f"has an unsupported Photometric Interpretation (allowed: {allowed})")
    if samples != (3 if kind in COLOUR else 1):
        raise ImageError(f"is {kind} with {samples} samples a pixel")
    return kind


def _check_sizes(header: DicomHeader, keyword: str, pixel_limit: int) -> None:
    if header.rows < 1 or header.columns < 1 or header.frames < 1:
        raise ImageError(
            f"claims {header.frames:,} frames of {header.columns:,} × {header.rows:,} pixels"
        )
    if header.rows * header.columns > pixel_limit:
        raise ImageError(
            f"claims {header.columns:,} × {header.rows:,} pixels "
            f"(allowed: {pixel_limit:,}, data.pixel_limit)"
        )
    allowed = {"PixelData": (1, 8, 16, 32), "FloatPixelData": (32,)}.get(keyword, (64,))
    if header.bits_allocated not in allowed:
        words = ", ".join(map(str, allowed))
        raise ImageError(f"has {header.bits_allocated} Bits Allocated (allowed: {words})")
    if not 1 <= header.bits_stored <= header.bits_allocated:
        raise ImageError(
            f"has {header.bits_stored} Bits Stored of {header.bits_allocated} Bits Allocated"
        )
    if header.photometric not in GREY and (keyword != "PixelData" or header.bits_allocated > 16):
        raise ImageError(f"is {header.photometric} with {header.bits_allocated} bits a sample")


def _listed_word(dataset: Dataset, keyword: str, allowed: Collection[str]) -> str:
    text = word(dataset, keyword)
    return text if text in allowed else ""


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = numbers(dataset, keyword)
        if len(spacing) == 2 and all(0 < value < 1000 for value in spacing):
            return spacing[0], spacing[1]
    return None


def _overlay_bit(dataset: Dataset, tag: int) -> int:
    element = dataset.get_item(tag) if tag in dataset else None
    raw = getattr(element, "value", None)
    return int.from_bytes(raw, "little") if isinstance(raw, bytes) else 0
