"""Good images become exactly the pixels they were made of; bad ones give a reason."""

import hashlib
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.data.audit import corpus
from tests.data.audit.corpus import LIMIT, Good
from tests.strategies import FEW

from medtransfer.data.images.pictures import ImageFacts, decode_image, inspect_image, read_file
from medtransfer.errors import ImageError

GOOD = corpus.good_images()
BAD_HEADERS = corpus.bad_headers()
BAD_PIXELS = corpus.bad_pixels()


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD)
def test_good_images_become_the_pixels_they_were_made_of(good: Good) -> None:
    pixels = decode_image(good.data, LIMIT)
    assert pixels.dtype == good.pixels.dtype
    assert pixels.shape == good.pixels.shape
    assert np.abs(pixels.astype(int) - good.pixels.astype(int)).max() <= good.tolerance


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD)
def test_the_header_tells_what_decoding_gives(good: Good) -> None:
    facts = inspect_image(good.data, LIMIT)
    assert (facts.height, facts.width) == good.pixels.shape[:2]
    assert facts.channels == (1 if good.pixels.ndim == 2 else 3)
    assert facts.bits == 8 * good.pixels.itemsize
    assert facts.sha256 == hashlib.sha256(good.data).hexdigest()


def test_no_ink_is_white_and_all_ink_is_black() -> None:
    bare, full = np.zeros((8, 8, 4), np.uint8), np.full((8, 8, 4), 255, np.uint8)
    assert decode_image(corpus.jpeg(bare, "CMYK"), LIMIT).min() >= 250
    assert decode_image(corpus.jpeg(full, "CMYK"), LIMIT).max() <= 5


def test_exif_behind_the_pixels_turns_the_picture_too() -> None:
    after = corpus.chunk(b"eXIf", corpus.exif(6))
    turned = decode_image(corpus.png(corpus.grey(), 0, after=after), LIMIT)
    assert np.array_equal(turned, corpus.UPRIGHT[6](corpus.grey()))


def test_an_orientation_that_does_not_exist_turns_nothing() -> None:
    odd = corpus.png(corpus.grey(), 0, extra=corpus.chunk(b"eXIf", corpus.exif(9)))
    assert np.array_equal(decode_image(odd, LIMIT), corpus.grey())


def test_the_header_is_enough_for_the_facts() -> None:
    whole = corpus.png(corpus.colour(40, 60), 2)
    head = whole[:33] + corpus.chunk(b"IDAT", b"no pixels at all")
    facts = inspect_image(head, LIMIT)
    assert (facts.width, facts.height, facts.channels) == (60, 40, 3)


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_what_must_not_be_read_gives_its_reason(name: str) -> None:
    data, reason = BAD_HEADERS[name]
    for read in (inspect_image, decode_image):
        if name == "PNG with bad EXIF" and read is decode_image:
            reason = "damaged"
        with pytest.raises(ImageError, match=reason):
            read(data, LIMIT)


@pytest.mark.parametrize("name", BAD_PIXELS)
def test_damaged_pixels_pass_by_their_header_and_are_refused_when_unpacked(name: str) -> None:
    inspect_image(BAD_PIXELS[name], LIMIT)
    with pytest.raises(ImageError, match="is truncated or damaged"):
        decode_image(BAD_PIXELS[name], LIMIT)


def outcome(read: Callable[[bytes, int], object], data: bytes) -> object:
    """What reading gives, or the reason why it gives nothing; other errors fly through."""
    try:
        return read(data, 10_000)
    except ImageError as error:
        return str(error)


@pytest.mark.parametrize("name", ["PNG turned 6", "JPEG turned 6", "palette with alpha"])
def test_every_cut_of_a_file_is_refused_with_a_reason(name: str) -> None:
    data = GOOD[name].data
    for end in range(0, len(data) - 20, 3):
        assert isinstance(outcome(inspect_image, data[:end]), str | ImageFacts)
        assert isinstance(outcome(decode_image, data[:end]), str)


@FEW
@given(
    st.sampled_from(["PNG turned 6", "JPEG turned 6", "RGBA", "grey 16 bit", "JPEG CMYK"]),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes_give_an_image_or_a_reason_and_nothing_else(
    name: str, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(GOOD[name].data)
    for place, mask in flips:
        data[int(place * len(data))] ^= mask
    assert isinstance(outcome(inspect_image, bytes(data)), str | ImageFacts)
    assert isinstance(outcome(decode_image, bytes(data)), str | np.ndarray)


def test_every_cut_of_exif_data_gives_an_image_or_a_reason() -> None:
    for kind in (corpus.exif(6), b"II*\x00" + corpus.exif(6)[4:], corpus.exif(6) + b"\x00\x09"):
        for end in range(len(kind)):
            data = corpus.png(corpus.grey(), 0, extra=corpus.chunk(b"eXIf", kind[:end]))
            assert isinstance(outcome(inspect_image, data), str | ImageFacts)
            assert isinstance(outcome(decode_image, data), str | np.ndarray)


@FEW
@given(st.binary(max_size=20))
def test_any_exif_gives_an_image_or_a_reason_and_nothing_else(content: bytes) -> None:
    data = corpus.png(corpus.grey(), 0, extra=corpus.chunk(b"eXIf", content))
    assert isinstance(outcome(inspect_image, data), str | ImageFacts)
    assert isinstance(outcome(decode_image, data), str | np.ndarray)


def test_the_pixel_limit_is_the_most_that_is_allowed() -> None:
    good = corpus.png(corpus.grey(20, 30), 0)
    assert inspect_image(good, 600).width == 30
    for read in (inspect_image, decode_image):
        with pytest.raises(ImageError, match=r"claims 30 × 20 pixels \(allowed: 599"):
            read(good, 599)


@pytest.mark.parametrize("name", ["PNG bomb", "JPEG bomb", "text bomb"])
def test_a_bomb_costs_no_memory(tmp_path: Path, name: str) -> None:
    (tmp_path / "bomb").write_bytes(BAD_HEADERS[name][0])
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from medtransfer.data.images.pictures import decode_image, inspect_image\n"
        "from medtransfer.errors import ImageError\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 32 * 2**20, used + 32 * 2**20))\n"
        "for read in (inspect_image, decode_image):\n"
        "    try: read(data, 100_000_000)\n"
        "    except ImageError as error: print(error)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "bomb")],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    said = child.stdout.splitlines()
    assert len(said) == 2
    assert all("claims" in line or "header" in line for line in said)


def test_bombs_are_small() -> None:
    assert len(corpus.png_bomb()) < 200
    assert len(corpus.jpeg_bomb()) < 2000


def test_the_decoder_of_others_is_left_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS
    for data, _ in BAD_HEADERS.values():
        with pytest.raises(ImageError):
            decode_image(data, LIMIT)
    assert before == Image.MAX_IMAGE_PIXELS


def test_paths_that_are_no_image_files_give_their_reason(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, reason in corpus.bad_files(root).items():
        with pytest.raises(ImageError, match=reason) as caught:
            read_file(root / name, root)
        assert name not in str(caught.value)


def test_links_inside_the_root_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"content")
    (tmp_path / "link.png").symlink_to("real.png")
    assert read_file(tmp_path / "link.png", tmp_path) == b"content"


def test_refused_paths_leave_no_file_open(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    names = corpus.bad_files(root)
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    for name in names:
        with pytest.raises(ImageError):
            read_file(root / name, root)
    assert len(list(open_files.iterdir())) == before


@pytest.mark.shared
def test_real_images_decode_as_pillow_alone_decodes_them(shared: Path) -> None:
    for name in ("cxr_covid", "derm_pad_ufes", "cxr_nih64"):
        for data in pl.read_parquet(shared / f"{name}.parquet", n_rows=5)["image"]:
            picture = Image.open(io.BytesIO(data))
            assert np.array_equal(decode_image(data, LIMIT), np.asarray(picture))
            facts = inspect_image(data, LIMIT)
            assert (facts.width, facts.height) == picture.size
