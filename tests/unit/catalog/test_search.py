"""`catalog show`'s data: found by words, compared side by side, unknown as None, with age and source."""

from __future__ import annotations

import json

from dispatcher.catalog.search import ages, compare, search


def test_all_words_must_be_in_what_is_found() -> None:
    names = {entry.name for entry in search(["rtx", "laptop", "ampere"])}
    assert "RTX-3050-Laptop" in names
    assert not names & {"RTX-3090", "RTX-4060-Laptop"}


def test_machines_are_found_by_their_accelerator_with_the_cheapest_of_each_market() -> None:
    (found,) = [entry for entry in search(["A10G"]) if entry.name == "g5.xlarge"]
    assert ["on-demand", "spot"] == [offer.market for offer in found.prices]


def test_a_region_narrows_prices_to_it() -> None:
    (found,) = [entry for entry in search(["g5.xlarge"], region="eu-west-1") if entry.name == "g5.xlarge"]
    assert {"eu-west-1"} == {offer.region for offer in found.prices}


def test_things_of_any_kind_compare_and_the_unknown_is_none() -> None:
    kinds = [entry and entry.kind for entry in compare(["A100-80GB", "aws:g5.xlarge", "i7-12700H", "llama-3.1-8b", "nothing"])]
    assert ["accelerator", "machine", "cpu", "model", None] == kinds


def test_a_figure_nobody_states_is_none_and_never_zero() -> None:
    (kepler,) = compare(["K80"])
    assert kepler is not None
    assert (None, None, False) == (kepler.figures["fp16_tflops"], kepler.figures["bf16_tflops"], kepler.verified)
    assert 0 not in [value for entry in search() for value in entry.figures.values() if value is not False]


def test_everything_has_a_source_and_a_date_and_is_json() -> None:
    found = search()
    assert len(found) > 1500
    assert all(entry.source and entry.as_of for entry in found)
    assert json.loads(json.dumps([entry.as_dict() for entry in found]))
    assert all(date for _, _, date in ages())


def test_what_is_computed_from_general_knowledge_is_not_called_verified() -> None:
    found = compare(["RTX-4060-Laptop", "i7-12700H", "bert-base-uncased", "A100-80GB", "llama-3.1-8b"])
    assert [False, False, False, True, True] == [entry.verified for entry in found if entry]


def test_networks_are_found_and_compared_too() -> None:
    (found,) = [entry for entry in search(["resnet50"]) if entry.name == "resnet50"]
    assert ("network", "vision", 224) == (found.kind, found.figures["family"], found.figures["image_size"])
    assert ["network", "network", "network"] == [entry and entry.kind for entry in compare(["sdxl", "yolov8x", "resnet18"])]
