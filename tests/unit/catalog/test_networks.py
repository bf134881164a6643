"""The tables of known networks: found by their spellings, and agreeing with what their authors publish."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dispatcher import paths
from dispatcher.catalog import networks
from dispatcher.catalog.networks import find_network, network_names, similar_networks
from dispatcher.catalog.tables import CatalogDamaged

PUBLISHED = [
    # timm's results/benchmark-infer-amp-nchw-pt291-cu128-4090.csv, 2026-08: image size, parameters 10⁶, GMACs, activations 10⁶
    ("resnet50", 224, 25.56, 4.11, 11.11),
    ("vit_base_patch16_224", 224, 86.57, 17.58, 23.9),
    ("efficientnet_b0", 224, 5.29, 0.4, 6.75),
    ("mobilenetv2_100", 224, 3.5, 0.31, 6.68),
]
MEGA = 1e6


@pytest.mark.parametrize(("name", "size", "parameters", "gmacs", "activations"), PUBLISHED)
def test_counts_agree_with_those_timm_publishes(
    name: str, size: int, parameters: float, gmacs: float, activations: float
) -> None:
    network = find_network(name)
    assert network is not None
    assert (size, network.family) == (network.image_size, "vision")
    assert network.parameters / MEGA == pytest.approx(parameters, abs=0.006)
    assert network.gmacs == pytest.approx(gmacs, rel=0.03, abs=0.02)
    assert network.parts[0].activations / MEGA == pytest.approx(activations, rel=0.1)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("timm/resnet50.a1_in1k", "resnet50"),
        ("ResNet50", "resnet50"),
        ("hf_hub:timm/resnet50.a1_in1k", "resnet50"),
        ("microsoft/resnet-50", "resnet50"),
        ("google/vit-base-patch16-224", "vit_base_patch16_224"),
        ("vit_b_16", "vit_base_patch16_224"),
        ("swin_t", "swin_tiny_patch4_window7_224"),
        ("mobilenet_v2", "mobilenetv2_100"),
        ("regnet_y_1_6gf", "regnety_016"),
        ("google/mobilenet_v2_1.0_224", "mobilenetv2_100"),
        ("openai/clip-vit-base-patch32", "vit_base_patch32_clip_224"),
        ("black-forest-labs/FLUX.1-dev", "flux.1-dev"),
        ("CompVis/stable-diffusion-v1-4", "stable-diffusion-v1-5"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "stable-diffusion-xl-base-1.0"),
        ("yolov8n.pt", "yolov8n"),
        ("sdxl", "stable-diffusion-xl-base-1.0"),
        ("fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn"),
    ],
)
def test_a_network_is_found_by_every_common_spelling(text: str, name: str) -> None:
    network = find_network(text)
    assert network is not None
    assert network.name == name


@pytest.mark.parametrize("text", ["", "gpt2", "llama-3.1-8b", "resnet5o", "no such network"])
def test_what_is_no_network_is_not_found(text: str) -> None:
    assert find_network(text) is None


def test_a_slip_of_the_pen_finds_its_neighbours() -> None:
    assert "resnet50" in similar_networks("resnet5o")


def test_every_line_of_every_table_can_be_read() -> None:
    names = network_names()
    assert len(names) >= 60
    for name in names:
        network = find_network(name)
        assert network is not None, name
        for part in network.parts:
            assert part.source in networks.SOURCES, name
            assert part.parameters >= 0, name
            assert part.image_size > 0, name
            assert part.saved > 0, name
            assert part.saved32 >= 0.7 * part.saved, name
            assert part.flops > 0, name
            assert part.kernels > 0, name


def test_every_alias_leads_to_a_known_network() -> None:
    assert [alias for alias in networks.ALIASES if find_network(alias) is None] == []


def test_names_are_unique() -> None:
    names = network_names()
    assert len(set(names)) == len(names)


def test_a_line_cut_short_is_reported_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (paths.tables_dir() / "models-vision.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "models-vision.csv").write_text("\n".join([lines[0], lines[1].rpartition(",")[0]]), encoding="utf-8")
    monkeypatch.setattr("dispatcher.catalog.tables.tables_dir", lambda: tmp_path)
    networks._lines.cache_clear()
    try:
        with pytest.raises(CatalogDamaged, match=r"models-vision\.csv"):
            networks._lines("vision")
    finally:
        networks._lines.cache_clear()


def test_a_figure_that_is_none_is_reported_with_the_line() -> None:
    with (paths.tables_dir() / "models-vision.csv").open(encoding="utf-8") as file:
        heading, cells = (next(csv.reader(file)) for _ in range(2))
    cells[heading.index("saved_mb")] = "much"
    with pytest.raises(CatalogDamaged, match=cells[0]):
        networks._part("vision", cells)
