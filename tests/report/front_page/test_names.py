"""Readable names of rungs."""

from dataclasses import fields, replace

import polars as pl
from tests.report.hand_made import OTHER, REFERENCE, areas, report_data

from medtransfer.models.ladder import LADDER
from medtransfer.report.content import ReportData, RungInfo
from medtransfer.report.front_page.names import (
    MAX_READABLE,
    network_name,
    readable_names,
    with_readable_names,
)


def names_of(*rungs: str) -> list[str]:
    return list(readable_names([RungInfo(rung) for rung in rungs]).values())


def test_a_rung_is_named_by_its_network_and_its_pretraining() -> None:
    assert names_of("bit-m/r50x3", "scratch/r26x0.25s", "imagenet/effnet-lite0") == [
        "ResNet-50 ×3 (ImageNet-21k)",
        "ResNet-26 ×0.25 small stem (from scratch)",
        "EfficientNet-Lite0 (ImageNet-1k)",
    ]
    assert network_name("r50x1-bn") == "ResNet-50, batch norm"
    assert network_name("mobilenetv2") == "MobileNetV2"
    assert network_name("vit_tiny") == "vit_tiny"


def test_a_changed_rung_says_its_change() -> None:
    assert names_of("imagenet/effnet-lite0@covariates", "metadata-only/linear") == [
        "EfficientNet-Lite0 (ImageNet-1k, clinical data)",
        "Clinical data alone",
    ]
    assert names_of("scratch/r26x0.25@group-sampling", "scratch/r26x0.25@group-dro") == [
        "ResNet-26 ×0.25 (from scratch, group sampling)",
        "ResNet-26 ×0.25 (from scratch, group DRO)",
    ]


def test_equal_names_get_the_number_of_images_and_unknown_ones_stay() -> None:
    assert names_of("tiny-10k/r26x0.5", "tiny-100k/r26x0.5", "our model v2") == [
        "ResNet-26 ×0.5 (Tiny-ImageNet 10k)",
        "ResNet-26 ×0.5 (Tiny-ImageNet 100k)",
        "our model v2",
    ]


def test_every_ladder_has_different_and_short_names() -> None:
    names = names_of(*LADDER)
    assert len(set(names)) == len(LADDER)
    assert max(map(len, names)) <= MAX_READABLE


def test_a_run_that_already_has_a_readable_name_is_not_mistaken_for_another() -> None:
    taken = "EfficientNet-Lite0 (ImageNet-1k)"
    assert names_of("imagenet/effnet-lite0", taken) == [
        "EfficientNet-Lite0 (ImageNet-1k 1.28M)",
        taken,
    ]


def test_all_tables_take_the_new_names() -> None:
    data = with_readable_names(replace(report_data(areas()), chosen=OTHER))
    assert data.reference == "EfficientNet-Lite0 (from scratch)"
    assert data.best == data.chosen == "EfficientNet-Lite0 (ImageNet-1k)"
    assert data.headline_difference(data.best, "north") is not None
    assert [info.full_name for info in data.rung_infos] == [REFERENCE, OTHER]


def test_every_table_of_the_report_takes_the_new_names() -> None:
    """One that is forgotten has no row of the best rung, and its passage says so."""
    tables = {
        field.name: pl.DataFrame({"rung": ["scratch/r26x0.25"], "reference": ["scratch/r50x1"]})
        for field in fields(ReportData)
        if field.name not in ("results", "comparisons") and "DataFrame" in str(field.type)
        if "dict" not in str(field.type)
    }
    assert {"corruptions", "group_thresholds", "ensembles", "understanding"} <= set(tables)
    data = replace(
        report_data(areas()),
        rung_infos=(RungInfo("scratch/r50x1"), RungInfo("scratch/r26x0.25")),
        **tables,
    )
    readable = with_readable_names(data)
    for name in tables:
        row = getattr(readable, name).row(0)
        assert row == ("ResNet-26 ×0.25 (from scratch)", "ResNet-50 (from scratch)"), name
