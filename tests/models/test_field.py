"""Named encoders: their networks exist, and what could not be read is said."""

import re

import pytest
import timm

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.models.backbones import with_timm_facts
from medtransfer.models.ladder import LADDER, find_rung
from medtransfer.models.rungs.field import FIELD, TIMM, FieldRung


@pytest.mark.parametrize("facts", FIELD.values(), ids=lambda facts: facts.name)
def test_facts_have_an_address_or_a_reason(facts: FieldRung) -> None:
    assert facts.facts == TIMM or re.match(r"https://\S+$", facts.facts)
    for value, word in ((facts.images, "images"), (facts.licence or facts.is_timm, "icence")):
        assert value or re.search(rf"{word}.*could not be read", facts.note, re.DOTALL)
    if facts.stated is not None and facts.stated.mean is None:
        assert re.search(r"(M|m)ean .*could not\s+be read", facts.note, re.DOTALL)
    assert set(facts.seen) <= set(SOURCES)
    assert facts.name not in LADDER


def test_there_are_about_thirty_and_the_field_is_covered() -> None:
    assert len(FIELD) >= 30
    names = " ".join(FIELD)
    for family in ("dinov3", "siglip", "radio", "aimv2", "eva02", "convnextv2", "ns_jft"):
        assert family in names
    for family in ("rad-dino", "medsiglip", "biomedclip", "retfound", "panderm", "ark", "chexf"):
        assert family in names
    sizes = [facts.images for facts in FIELD.values() if facts.images]
    assert max(sizes) / min(sizes) >= 1e4


def test_timms_encoders_are_timms_with_a_licence() -> None:
    for facts in FIELD.values():
        config = timm.get_pretrained_cfg(facts.timm)
        assert config is not None, facts.timm
        if facts.is_timm:
            assert config.hf_hub_id == facts.name
            assert config.license
            assert find_rung(facts.name).source == "hub"
        else:
            assert timm.is_model(facts.timm)
            assert find_rung(facts.name).source == "file"


def test_a_stated_input_stands_in_for_timms() -> None:
    rung = with_timm_facts(find_rung("chexficient/vit-b14"))
    assert rung.architecture.input_size == 378
    assert rung.architecture.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))
    assert rung.architecture.width == 768
    assert rung.licence == ""
    unknown = with_timm_facts(find_rung("rad-dino/vit-b14"))
    assert unknown.architecture.input_size == 518
    assert unknown.architecture.mean == pytest.approx((0.485, 0.456, 0.406))


def test_a_start_and_an_open_form_beside_the_table_go_on_working() -> None:
    assert find_rung("timm/vit_small_patch16_dinov3.lvd1689m@stages2").start is not None
    assert find_rung("timm/vit_small_patch14_dinov2.lvd142m").images == 142_000_000
