"""Columns of hospitals' own tables: what is proposed for them, and that nothing is taken."""

import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from medtransfer import import_source
from medtransfer.data.images.pictures import encode_png
from medtransfer.data.sources.generic.proposed_columns import offers, proposal
from medtransfer.errors import TableError
from medtransfer.tables.guessed_targets import guessed_targets, spelled_target

PICTURES = pl.DataFrame({"path": [f"img/{n:03d}.png" for n in range(4)]})
FILES = [f"img/{n:03d}.png" for n in range(4)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"Bild": FILES, "Patient": list("abcd"), "Klinik": list("xxyy"), "Alter": list("1234")},
            "--columns path=Bild,patient_id=Patient,cohort=Klinik,age=Alter",
        ),
        (
            {
                "fichier": [f"{n:03d}" for n in range(4)],
                "id_patient": list("abcd"),
                "Sexe": list("FHFH"),
            },
            "--columns path=fichier,patient_id=id_patient,sex=Sexe",
        ),
        (
            {"imagen": [f"D:\\x\\{n:03d}.PNG" for n in range(4)], "Hospital": list("xxyy")},
            "--columns path=imagen,cohort=Hospital",
        ),
        (
            {
                "病院": list("xxyy"),
                "性別": list("男女男女"),
                "診断": ["陽性", "陰性", "陽性", "陰性"],
            },
            (
                "--columns 'cohort=病院,sex=性別' --option 'targets=診断' "
                "--values '診断=陰性:0,陽性:1'"
            ),
        ),
        ({"note": ["see there", "none", "a", "b"], "dose": list("1234")}, ""),
    ],
)
def test_columns_are_proposed_by_name_and_content(
    columns: dict[str, list[str]], expected: str
) -> None:
    table = pl.DataFrame(columns)
    assert proposal(table, PICTURES, ()) == expected


def test_what_is_mapped_is_not_proposed_again() -> None:
    table = pl.DataFrame({"Bild": FILES, "Patient": list("abcd")})
    assert proposal(table, PICTURES, ("path",)) == "--columns patient_id=Patient"


def test_cells_of_a_table_without_a_header_are_not_quoted() -> None:
    table = pl.DataFrame({"img/000.png": FILES, "1961-03-04": FILES, "Klinik": list("xxyy")})
    assert proposal(table, PICTURES, ()) == "--columns cohort=Klinik"


def test_the_proposed_options_import_the_table(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    (tmp_path / "img").mkdir()
    for name, image in zip(FILES, pixels, strict=True):
        (tmp_path / name).write_bytes(encode_png(image))
    rows = ["000.png;p0;w;ja", "001.png;p1;m;nein", "002.png;p2;w;ja", "003.png;p3;m;nein"]
    (tmp_path / "t.csv").write_text("\n".join(["Bild;Patient;Geschlecht;krank", *rows]))
    with pytest.raises(TableError, match="By their look the columns are taken with: ") as caught:
        import_source("csv", tmp_path, tmp_path / "m.csv")
    words = shlex.split(str(caught.value).rsplit("with: ", 1)[1])
    given = dict(zip(words[::2], words[1::2], strict=True))
    targets = given["--option"].removeprefix("targets=")
    manifest = import_source(
        "csv",
        tmp_path,
        tmp_path / "m.csv",
        options={"columns": given["--columns"], "targets": targets},
        values={"krank": {"ja": "1", "nein": "0"}},
    )
    assert manifest is not None
    frame = pl.read_csv(tmp_path / "m.csv")
    assert frame["krank"].to_list() == [1, 0, 1, 0]
    assert frame["sex"].to_list() == ["F", "M", "F", "M"]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["ja", "Nein", "unklar"], {"ja": "1", "Nein": "0", "unklar": "-1"}),
        (["oui", "non", ""], {"oui": "1", "non": "0"}),
        (["Sí", "no", "NA"], {"Sí": "1", "no": "0"}),
        (["dodatni", "ujemny", None], {"dodatni": "1", "ujemny": "0"}),
        (["evet", "HAYIR"], {"evet": "1", "HAYIR": "0"}),
        (["bösartig", "gutartig"], {"bösartig": "1", "gutartig": "0"}),
        (["阳性", "阴性"], {"阳性": "1", "阴性": "0"}),
        (["P", "N", "n"], {"P": "1", "N": "0", "n": "0"}),
        (["M", "B"], {"M": "1", "B": "0"}),
        (["T", "N"], {"T": "1", "N": "0"}),
        (["P", "N", "x"], {}),
        (["M", "F"], {}),
        (["ja", "JA"], {}),
        (["ja", "vielleicht morgen"], {}),
    ],
)
def test_labels_are_known_in_the_languages_of_hospitals(
    cells: list[str | None], labels: dict[str, str]
) -> None:
    assert spelled_target(pl.DataFrame({"x": cells}), "x") == labels


@pytest.mark.parametrize(
    "name",
    ["dx", "Finding", "Diagnose", "étiquette", "DIAGNÓSTICO", "rozpoznanie", "TANI", "диагноз"],
)
def test_columns_of_classes_are_offered_in_the_languages_of_hospitals(name: str) -> None:
    table = pl.DataFrame({name: ["mel", "nv"] * 4, "Ort": ["Arm", "Bein"] * 4})
    assert [kind for kind, _ in offers(table, table.columns)] == ["classes"]
    beside = pl.DataFrame({"image_id": [*"abcdefgh"], "cohort": ["a"] * 8, name: ["mel", "nv"] * 4})
    assert guessed_targets(beside) == ([], name)


def test_files_are_proposed_under_names_in_another_case_or_unicode_form() -> None:
    pictures = pl.DataFrame({"path": ["a/Mu\u0308ller_0.png", "a/Mu\u0308ller_1.png"]})
    table = pl.DataFrame({"dosya": ["A\\MÜLLER_0.PNG", "A\\MÜLLER_1.PNG"], "x": ["1", "2"]})
    assert proposal(table, pictures, ("patient_id",)) == "--columns path=dosya"
