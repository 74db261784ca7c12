"""Another bundle of a bundle: the network stays, what was added is said."""

from datetime import date
from pathlib import Path

import pytest
from tests.deploy import handmade

from medtransfer.deploy.bundle.card import bundle_page
from medtransfer.deploy.bundle.export import export_options
from medtransfer.deploy.bundle.reader import read_bundle
from medtransfer.deploy.exchange.export_source import export_source
from medtransfer.deploy.exchange.remake import remake_bundle
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.errors import BundleError, ConfigError


def test_a_last_day_is_added_and_kept_by_predict(tmp_path: Path) -> None:
    plain = handmade.write_by_hand(tmp_path / "a.medt")
    options = export_options(expires=date(2020, 1, 1))
    made = remake_bundle(plain.path, tmp_path / "b.medt", options)
    assert "expires      after 2020-01-01 (it has expired)" in bundle_page(made)
    assert "It predicts until 2020-01-01" in made.card
    with pytest.raises(BundleError, match="expired on 2020-01-01"):
        load_bundle(made.path)
    assert read_bundle(made.path).weights(0) == plain.weights(0)
    later = remake_bundle(made.path, tmp_path / "c.medt", export_options(expires=date(2999, 1, 1)))
    assert "expired" not in bundle_page(later)
    load_bundle(later.path)


def test_a_bundle_names_the_one_it_takes_the_place_of(tmp_path: Path) -> None:
    old = handmade.write_by_hand(tmp_path / "old.medt", handmade.facts(name="old"))
    new = handmade.write_by_hand(tmp_path / "new.medt")
    options = export_options(supersedes=old.path)
    made = remake_bundle(new.path, tmp_path / "made.medt", options)
    assert made.facts.parent == old.digest
    page = bundle_page(made)
    assert f"supersedes   bundle {old.digest[:12]}" in page
    assert "another network: scratch/r14x0.5 of study by hand" in page
    assert "another network" in made.card
    with pytest.raises(BundleError, match="does not exist"):
        remake_bundle(
            new.path, tmp_path / "x.medt", export_options(supersedes=tmp_path / "gone.medt")
        )


def test_nothing_added_gives_the_same_bytes(tmp_path: Path) -> None:
    plain = handmade.write_by_hand(tmp_path / "a.medt")
    again = remake_bundle(plain.path, tmp_path / "b.medt", export_options())
    assert again.path.read_bytes() == plain.path.read_bytes()
    with pytest.raises(ConfigError, match=r'"b\.zip" does not end in \.medt'):
        remake_bundle(plain.path, tmp_path / "b.zip", export_options())


def test_options_that_do_not_go_with_the_source_are_refused(tmp_path: Path) -> None:
    plain = handmade.write_by_hand(tmp_path / "a.medt").path
    out = tmp_path / "b.medt"
    with pytest.raises(ConfigError, match="need the study: margin, licence, rung, run or ensemble"):
        export_source(plain, out, rung="x", options=export_options(licence="CC0", margin=0.1))
    with pytest.raises(ConfigError, match="--layout writes no bundle: onnx has no place there"):
        export_source(plain, out, layout="monai", options=export_options(onnx=True))
    with pytest.raises(ConfigError, match=r"--layout is 'keras' \(allowed: huggingface, monai\)"):
        export_source(plain, out, layout="keras")  # type: ignore[arg-type]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(ConfigError, match="is not an empty folder"):
        export_source(plain, tmp_path / "full", layout="monai")
    with pytest.raises(ConfigError, match="need the study: licence, rung, run or ensemble"):
        export_source(plain, out, rung="x", layout="monai", options=export_options(licence="CC0"))
    assert not out.exists()
