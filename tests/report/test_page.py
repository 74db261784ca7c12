"""The report: one offline file, readable without scripts, safe with any text in the data."""

import html
import json
import re
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.errors import StudyError
from medtransfer.report.page import write_report
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study

EVIL = "<img src=x onerror=alert(1)>"
CLOSING = "</script><script>alert(2)</script>"
A4 = 718
"""Pixels across a sheet of A4 with its margins."""
A4_HEIGHT = 1047
"""Pixels down the same."""
PHONE = 390
"""Pixels across a phone."""
QUOTE = "\"'><svg onload=alert(3)>{{7*7}}"


@pytest.fixture(scope="session")
def evil_page(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose cohorts, groups and target carry what a browser would run."""
    folder = tmp_path_factory.mktemp("evil")
    frame = pl.read_parquet(phantom_folder / "lesion.parquet").with_columns(
        cohort=pl.when(pl.col("cohort") == "a").then(pl.lit(EVIL)).otherwise(pl.lit(CLOSING)),
        sex=pl.when(pl.col("sex") == "F").then(pl.lit(QUOTE)).otherwise(pl.lit(CLOSING)),
    )
    frame.rename({"malignant": CLOSING, "sex": EVIL}).write_parquet(folder / "m.parquet")
    study = Study.model_validate(
        {
            "name": "evil",
            "data": {
                "manifest": folder / "m.parquet",
                "task": "binary",
                "targets": [CLOSING],
                "attributes": [EVIL],
                "image": {"resize": 36, "crop": 32},
                "split": {"train_cohorts": [EVIL]},
            },
            "rungs": ["scratch/r14x0.5"],
            "seeds": [0],
            "training": {"batch_size": 8, "steps": 2, "checks": 1},
            "evaluation": {"replicates": 30, "permutations": 10},
        }
    )
    return write_report(run_here(study, folder / "study"))


@pytest.mark.slow
def test_tensors_of_a_weights_file_are_counted_once_per_rung(
    page: Path,
) -> None:
    text = html.unescape(page.read_text("utf-8"))
    assert text.count("294 tensors loaded from the weights file; not loaded: classifier.bias") == 1


def test_every_section_and_answer_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for title in (
        "Transfer",
        "Shift",
        "Data efficiency",
        "Fairness",
        "Uncertainty",
        "Runs and costs",
        "Methods",
        "Limitations",
    ):
        assert f"<h2>{title}</h2>" in text
    assert text.count('<span class="mark">') == 5
    assert "not a medical device" in text


def test_it_is_readable_without_scripts(page: Path) -> None:
    text = re.sub(r"<script.*?</script>", "", page.read_text("utf-8"), flags=re.DOTALL)
    drawn = re.findall(
        r'<div class="(?:static|drawing)" role="img" aria-label="([^"]+)"[^>]*><svg', text
    )
    assert len(drawn) == text.count("<figure ") >= 4  # every chart is drawn in the page
    assert len(set(drawn)) == len(drawn)  # and has words of its own
    assert "scratch/r14x0.5" in text
    assert "imagenet/effnet-lite0" in text


def test_marks_in_legends_take_the_colour_of_the_page(page: Path) -> None:
    charts = re.search(r'id="charts">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert charts is not None
    for spec in json.loads(charts[1]).values():
        assert spec["config"]["legend"]["symbolBaseFillColor"] == "currentColor"


def test_nothing_is_fetched_from_anywhere(page: Path) -> None:
    text = page.read_text("utf-8")
    visible = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    addresses = set(re.findall(r"https?://[^\"'\s<)]+", visible))
    allowed = ("http://www.w3.org/", "https://vega.github.io/schema/")
    assert all(address.startswith(allowed) for address in addresses), addresses
    assert "default-src 'none'" in text
    assert not re.search(r"<(link|iframe|img|object|embed)\b", visible)


def test_it_holds_no_image_and_no_identifier(page: Path, finished: StudyFolder) -> None:
    text = page.read_text("utf-8")
    predictions = pl.read_parquet(finished.path / "predictions.parquet")
    for name in {*predictions["case_id"], *predictions["patient_id"]}:
        assert name not in text
    assert "data:image" not in text


def test_markup_in_the_data_stays_text(evil_page: Path) -> None:
    text = evil_page.read_text("utf-8")
    visible = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert html.escape(EVIL) in visible
    assert "<img src=x" not in text
    assert "<svg onload" not in text
    assert "<script>alert" not in text
    assert text.count("<script") == 2
    assert "49" not in re.findall(r"onload=alert\(3\)&gt;(..)", visible)  # no template is run


def test_a_study_without_results_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is not the folder of a study that was run"):
        write_report(tmp_path)


@pytest.mark.browser
@pytest.mark.parametrize(
    "which", ["page", "evil_page", pytest.param("evaluation_page", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_a_browser_shows_it_without_a_request_or_an_error(
    request: pytest.FixtureRequest, chromium: str, which: str, scheme: Literal["light", "dark"]
) -> None:
    from playwright.sync_api import Dialog, sync_playwright

    path: Path = request.getfixturevalue(which)
    messages: list[str] = []
    requests: list[str] = []

    def refuse(dialog: Dialog) -> None:
        messages.append("dialog")
        dialog.dismiss()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(color_scheme=scheme)
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("dialog", refuse)
        tab.on("request", lambda sent: requests.append(sent.url))
        tab.goto(path.as_uri())
        tab.wait_for_function("document.querySelectorAll('figure .static').length === 0")
        figures = tab.locator("figure[data-chart]").count()
        assert tab.locator("figure .live svg").count() == figures > 0
        tab.locator("summary").first.click()
        assert tab.locator("details").first.get_attribute("open") is not None
        head = tab.locator("th[data-sort]").first
        head.click()
        assert head.get_attribute("data-sort") == "up"
        head.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        for width in (1200, 800):
            tab.set_viewport_size({"width": width, "height": 900})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
    assert messages == []
    assert requests == [path.as_uri()]


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("which", ["page", "evaluation_page"])
def test_on_a_phone_charts_stay_readable_and_names_stay_in_sight(
    request: pytest.FixtureRequest, chromium: str, which: str
) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": PHONE, "height": 800})
        tab.goto(request.getfixturevalue(which).as_uri())
        tab.wait_for_function("document.querySelectorAll('figure .static').length === 0")
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE
        sizes = tab.evaluate(
            "[...document.querySelectorAll('.live svg')].map(s => "
            "[s.getBoundingClientRect().width, s.viewBox.baseVal.width])"
        )
        assert sizes
        assert all(width > 0.6 * own for width, own in sizes)  # letters keep most of their size
        scroll = tab.locator(".scroll").first
        scroll.evaluate("element => { element.scrollLeft = 200 }")
        assert scroll.evaluate("element => element.scrollLeft") > 0
        for shown in ("tbody td", "caption span"):
            box = scroll.locator(shown).first.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE
        browser.close()


@pytest.mark.slow
@pytest.mark.browser
def test_without_scripts_and_on_paper_everything_is_there(
    chromium: str, evaluation_page: Path
) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(java_script_enabled=False, viewport={"width": A4, "height": 1000})
        tab.emulate_media(media="print")
        tab.goto(evaluation_page.as_uri())
        box = tab.locator(".page-one").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= A4_HEIGHT  # page one is one page
        drawn = tab.locator("figure svg")
        assert drawn.count() == tab.locator("figure").count() > 0
        for fold in tab.locator("summary").all():
            fold.click()
        tables, charts = tab.locator(".scroll table").all(), drawn.all()
        for shown in [*tables, *charts]:
            box = shown.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= A4 + 1
        browser.close()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("which", ["page", "evil_page", "evaluation_page"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, 1280])
def test_people_who_see_or_move_little_can_read_it(
    request: pytest.FixtureRequest,
    chromium: str,
    which: str,
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        # the page lets no foreign script in
        context = browser.new_context(
            bypass_csp=True, color_scheme=scheme, viewport={"width": width, "height": 900}
        )
        tab = context.new_page()
        tab.goto(request.getfixturevalue(which).as_uri())
        tab.wait_for_function("document.querySelectorAll('figure .static').length === 0")
        for reader in tab.locator("input[name=reader]").all() or [None]:
            if reader is not None:
                reader.check(force=True)
            violations = Axe().run(tab).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"][:200]) for v in violations] == []
        browser.close()
