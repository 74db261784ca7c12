"""Images to pre-train on: three layouts hold the same, shares are nested, faults are said."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from medtransfer.data.images.scan import scan_images
from medtransfer.errors import ConfigError, TableError
from medtransfer.pretraining.config import UpstreamConfig
from medtransfer.pretraining.dataset import Upstream, read_upstream

CLASSES = ("ant", "bee", "cat")


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


PICTURES = [(CLASSES[n % 3], picture(n), "val" if n % 4 == 3 else "train") for n in range(24)]


def as_folders(root: Path) -> Path:
    for number, (label, data, split) in enumerate(PICTURES):
        path = root / split / label / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def as_table(root: Path) -> Path:
    frame = pl.DataFrame(PICTURES, schema=["label", "image", "split"], orient="row")
    frame.write_parquet(root / "natural.parquet")
    return root / "natural.parquet"


def as_shards(root: Path) -> Path:
    for split in ("train", "val"):
        (root / split).mkdir()
        with tarfile.open(root / split / "0.tar", "w") as archive:
            for number, (label, data, own) in enumerate(PICTURES):
                if own != split:
                    continue
                about = json.dumps({"label": label}).encode()
                for ending, content in (("png", data), ("json", about)):
                    member = tarfile.TarInfo(f"{number:03d}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return root


def seen(upstream: Upstream, folder: Path) -> set[tuple[str, str, bool]]:
    """Of each image its content, its class and whether it trains."""
    facts = scan_images(upstream.manifest, 10_000_000, folder / "images.parquet")
    found: set[tuple[str, str, bool]] = set()
    for rows, trains in ((upstream.train, True), (upstream.held_out, False)):
        classes = upstream.images(rows).targets[:].argmax(axis=1)
        contents = facts["sha256"].gather(rows).to_list()
        found |= {
            (content, upstream.classes[c], trains)
            for content, c in zip(contents, classes, strict=True)
        }
    return found


def test_folders_tables_and_shards_hold_the_same(tmp_path: Path) -> None:
    read: list[set[tuple[str, str, bool]]] = []
    for make in (as_folders, as_table, as_shards):
        root = tmp_path / make.__name__
        root.mkdir()
        upstream = read_upstream(UpstreamConfig(images=make(root)))
        assert upstream.classes == CLASSES
        read.append(seen(upstream, root))
    assert read[0] == read[1] == read[2]
    assert len(read[0]) == 24
    assert sum(trains for _, _, trains in read[0]) == 18


def test_a_class_folder_without_splits_is_divided_by_lot(tmp_path: Path) -> None:
    root = as_folders(tmp_path) / "train"
    upstream = read_upstream(UpstreamConfig(images=root, held_out=0.25))
    assert (len(upstream.train), len(upstream.held_out)) == (14, 4)
    assert not set(upstream.train) & set(upstream.held_out)


def test_smaller_shares_are_inside_larger_ones_and_know_the_same_classes(tmp_path: Path) -> None:
    path = as_table(tmp_path)
    shares = [read_upstream(UpstreamConfig(images=path, fraction=f)) for f in (0.2, 0.5, 1.0)]
    small, half, whole = (set(upstream.train.tolist()) for upstream in shares)
    assert small < half < whole
    assert {upstream.classes for upstream in shares} == {CLASSES}
    assert len({tuple(upstream.held_out) for upstream in shares}) == 1


def test_a_split_called_test_is_never_read(tmp_path: Path) -> None:
    frame = pl.DataFrame(PICTURES, schema=["label", "image", "split"], orient="row")
    frame = frame.with_columns(split=pl.col("split").replace("val", "test"))
    frame.write_parquet(tmp_path / "t.parquet")
    upstream = read_upstream(UpstreamConfig(images=tmp_path / "t.parquet", held_out=0.2))
    splits = frame["split"].gather([*upstream.train, *upstream.held_out])
    assert set(splits) == {"train"}
    assert upstream.notes == ("6 images of another split: never read.",)


def test_patients_are_not_divided(tmp_path: Path) -> None:
    frame = pl.DataFrame([row[:2] for row in PICTURES], schema=["label", "image"], orient="row")
    frame = frame.with_columns(patient_id=pl.Series([f"p{n // 4}" for n in range(24)]))
    frame.write_parquet(tmp_path / "t.parquet")
    config = UpstreamConfig(images=tmp_path / "t.parquet", held_out=0.34, fraction=0.5)
    upstream = read_upstream(config)
    people = [set(frame["patient_id"].gather(rows)) for rows in (upstream.train, upstream.held_out)]
    assert len(people[0]) == 2
    assert len(people[1]) == 2
    assert not people[0] & people[1]


def test_several_labels_and_columns_of_answers_are_masked_where_nothing_is_known(
    tmp_path: Path,
) -> None:
    image = [data for _, data, _ in PICTURES[:4]]
    split = ["train", "train", "train", "val"]
    listed = pl.DataFrame({"image": image, "label": ["ant|bee", "bee", "", "ant"], "split": split})
    listed.write_parquet(tmp_path / "l.parquet")
    upstream = read_upstream(UpstreamConfig(images=tmp_path / "l.parquet", task="multi-label"))
    assert upstream.images(upstream.train).targets[:].tolist() == [[1, 1], [0, 1]]
    assert upstream.notes == ("1 image without a label: left out.",)

    answers = pl.DataFrame(
        {"image": image, "Edema": [1, 0, None, 1], "Mass": [-1, 1, None, 0], "split": split}
    )
    answers.write_parquet(tmp_path / "a.parquet")
    config = UpstreamConfig(
        images=tmp_path / "a.parquet", task="multi-label", targets=("Edema", "Mass")
    )
    upstream = read_upstream(config)
    dense = upstream.images(upstream.train).targets[:]
    np.testing.assert_array_equal(dense, [[1, np.nan], [0, 1]])
    positive, known = upstream.targets.take(upstream.train).sums()
    assert (positive.tolist(), known.tolist()) == ([1, 1], [2, 1])


def test_the_digest_follows_labels_and_contents_and_not_names(tmp_path: Path) -> None:
    def digest(rows: list[tuple[str, bytes, str]], name: str) -> str:
        path = tmp_path / name
        pl.DataFrame(rows, schema=["label", "image", "split"], orient="row").write_parquet(path)
        upstream = read_upstream(UpstreamConfig(images=path))
        return upstream.digest(
            scan_images(upstream.manifest, 10_000_000, tmp_path / f"{name}.scan.parquet")
        )

    first = digest(PICTURES, "a.parquet")
    assert digest(PICTURES, "b.parquet") == first
    relabelled = [("bee", PICTURES[0][1], "train"), *PICTURES[1:]]
    assert digest(relabelled, "c.parquet") != first
    repainted = [("ant", picture(99), "train"), *PICTURES[1:]]
    assert digest(repainted, "d.parquet") != first


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    path = as_table(tmp_path)
    with pytest.raises(ConfigError, match=r"has no column lable.*Did you mean 'label'"):
        read_upstream(UpstreamConfig(images=path, label="lable"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableError, match="has no image in a class folder"):
        read_upstream(UpstreamConfig(images=tmp_path / "empty"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "0.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(TableError, match=r"\"0.tar\" is damaged"):
        read_upstream(UpstreamConfig(images=tmp_path / "bad"))
    pl.DataFrame({"image": [b"x"], "Edema": ["yes"]}).write_parquet(tmp_path / "y.parquet")
    with pytest.raises(TableError, match="other cells than 1, 0, -1 and empty in Edema"):
        read_upstream(
            UpstreamConfig(images=tmp_path / "y.parquet", task="multi-label", targets=("Edema",))
        )


def test_what_a_licence_forbids_is_noted_for_the_card(tmp_path: Path) -> None:
    table = as_table(tmp_path)
    pl.read_parquet(table).with_columns(cohort=pl.lit("EMBED")).write_parquet(table)
    noted = read_upstream(UpstreamConfig(images=table)).notes
    assert any("forbids to release models, weights or embeddings" in note for note in noted)
