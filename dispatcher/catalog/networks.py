"""Known image networks: what a pass computes, keeps and moves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from dispatcher.catalog.spelling import nearest
from dispatcher.catalog.tables import CatalogDamaged, path, read_text

TABLES = {"vision": "models-vision", "detection": "models-detection", "diffusion": "models-diffusion"}
"""The families, and the table of each."""
SOURCES = {
    "timm": ("traced from timm 1.0.31 with torch 2.13 on fake tensors", "2026-11-21"),
    "torchvision": ("traced from torchvision 0.29.2 with torch 2.13 on fake tensors", "2026-11-21"),
    "diffusers": ("traced from diffusers with torch 2.13 on fake tensors", "2026-11-21"),
    "ultralytics": ("traced from ultralytics 8.4.190 with torch 2.13 on fake tensors", "2026-11-21"),
    "transformers": ("traced from transformers with torch 2.13 on fake tensors", "2026-11-21"),
}
"""What each source's short name stands for, and its date."""
COLUMNS = (
    "name", "part", "kind", "scales", "source", "image_size", "parameters", "trained", "mactivations", "saved_mb",
    "saved32_mb", "frozen_mb", "extra_mb", "widest_mb", "moved_mb", "moved32_mb", "backward_flops", "backward_moved", "kernels",
    "backward_kernels", "scores_m", "norms_m", "products",
)  # fmt: skip
KINDS = frozenset({"convolution", "depthwise", "hybrid", "mlp", "transformer"})
SCALES = frozenset({"area", "fixed", "joint"})
MEGA = 1e6


@dataclass(frozen=True, slots=True)
class Products:
    """Matrix products or convolutions of a kind in one forward pass over one image.

    `kind` is dense, grouped, depthwise, batched (both factors are activations), attention, or windowed attention. FLOPs with
    two per multiply-add; `moved` is the bytes of activations read and written in 16 bit. The mean product has `rows` × `inner`
    → `width`, and `groups` groups; `count` is how many there are.
    """

    kind: str
    flops: float
    moved: float
    rows: float
    inner: float
    width: float
    count: int
    groups: float


@dataclass(frozen=True, slots=True)
class Part:
    """A network, or one part of several, at `image_size` pixels a side.

    `scales` tells how it grows: with the image's area, joint:512 with the image's tokens beside 512 of a text, or fixed.

    `trained` of the parameters have gradients where it is trained the usual way. Bytes per image: `saved` under autocast and
    `saved32` in fp32 from the forward to the backward pass, `frozen` the former where weights have no gradients (0: not known),
    `extra` what else is alive at the peak, `widest` the inputs and outputs of the widest operation, `moved` and `moved32` the
    element-wise traffic of a forward pass. `backward_flops` and `backward_moved` times the forward pass's in the backward
    pass. `scores` counts the elements of all attention matrices, `norms` those that batch norms see. `kernels` are launches.
    """

    name: str
    role: str
    kind: str
    scales: str
    source: str
    image_size: int
    parameters: int
    trained: int
    activations: float
    saved: float
    saved32: float
    frozen: float
    extra: float
    widest: float
    moved: float
    moved32: float
    backward_flops: float
    backward_moved: float
    kernels: float
    backward_kernels: float
    scores: float
    norms: float
    products: tuple[Products, ...]

    @property
    def flops(self) -> float:
        """FLOPs of products in one forward pass over one image."""
        return sum(p.flops for p in self.products)


@dataclass(frozen=True, slots=True)
class Network:
    """A known network by its parts; a classifier has one. `family` is vision, detection or diffusion."""

    name: str
    family: str
    parts: tuple[Part, ...]

    @property
    def image_size(self) -> int:
        """The side of the square image it is published for, in pixels."""
        return self.parts[0].image_size

    @property
    def parameters(self) -> int:
        """Parameters of all parts."""
        return sum(part.parameters for part in self.parts)

    @property
    def gmacs(self) -> float:
        """10⁹ multiply-adds of a forward pass over one image, all parts."""
        return sum(part.flops for part in self.parts) / 2e9

    @property
    def source(self) -> str:
        """Where the figures are from, with the date."""
        return "; ".join(dict.fromkeys(", ".join(SOURCES[part.source]) for part in self.parts))


def find_network(name: str | None) -> Network | None:
    """The network of this name as timm, torchvision, diffusers or a hub spell it; None where unknown."""
    return _find(_plain(name)) if name else None


def similar_networks(name: str) -> tuple[str, ...]:
    """Names like this one, best first: for "did you mean"."""
    return nearest(_plain(name), network_names())


def similar_anything(name: str) -> tuple[str, ...]:
    """Names like this one among networks and language models alike, best first."""
    from dispatcher.catalog.models import model_names

    return nearest(_plain(name), (*model_names(), *network_names()))


@cache
def network_names() -> tuple[str, ...]:
    """Every known network, in the tables' order."""
    return tuple(name for family in TABLES for name in _lines(family))


@cache
def _find(name: str) -> Network | None:
    for family in TABLES:
        for known in _spelled(name):
            if cells := _lines(family).get(known):
                return Network(known, family, tuple(_part(family, line.split(",")) for line in cells))
    return None


def _plain(name: str) -> str:
    """Lower case, without the owner, the hub's prefix and the tag of the weights."""
    short = name.strip().lower().rpartition("/")[2].rpartition(":")[2]
    stem, dot, tag = short.partition(".")
    tagged = dot and re.search(r"_|[a-z]{2}", tag) and any(stem in _lines(family) for family in TABLES)
    return stem if tagged else short


def _spelled(name: str) -> tuple[str, ...]:
    """The name, with the other separator, and what else it is known as."""
    under = name.replace("-", "_")
    return tuple(dict.fromkeys((name, under, ALIASES.get(name, name), ALIASES.get(under, name))))


@cache
def _lines(family: str) -> dict[str, list[str]]:
    """The lines of a table, by network; they are split only when they are asked for."""
    table = TABLES[family]
    heading, *lines = read_text(table).splitlines() or [""]
    if tuple(heading.split(",")) != COLUMNS:
        raise CatalogDamaged(path(table), "its heading is not that of a table of networks")
    found: dict[str, list[str]] = {}
    for line in lines:
        name = line.partition(",")[0]
        if line.count(",") != len(COLUMNS) - 1 or '"' in line:
            raise CatalogDamaged(path(table), f"the line of {name!r} has {line.count(',') + 1} of {len(COLUMNS)} cells")
        found.setdefault(name, []).append(line)
    if not found:
        raise CatalogDamaged(path(table), "it has no rows")
    return found


def _part(family: str, cells: list[str]) -> Part:
    name, role, kind, scales, source, *counted, products = cells
    try:
        size, parameters, trained = map(int, counted[:3])
        macts, saved, saved32, frozen, extra, widest, moved, moved32, *ratios, scores, norms = map(float, counted[3:])
        flops, backward, kernels, launched = ratios
        found = tuple(_products(text) for text in products.split())
    except (ValueError, TypeError) as error:
        raise CatalogDamaged(path(TABLES[family]), f"the line of {name!r} is not figures: {error}") from error
    if source not in SOURCES or kind not in KINDS or scales.partition(":")[0] not in SCALES or not size or not found:
        raise CatalogDamaged(path(TABLES[family]), f"the line of {name!r} is not that of a network")
    return Part(
        name=name,
        role=role,
        kind=kind,
        scales=scales,
        source=source,
        image_size=size,
        parameters=parameters,
        trained=trained,
        activations=MEGA * macts,
        saved=MEGA * saved,
        saved32=MEGA * saved32,
        frozen=MEGA * frozen,
        extra=MEGA * extra,
        widest=MEGA * widest,
        moved=MEGA * moved,
        moved32=MEGA * moved32,
        backward_flops=flops,
        backward_moved=backward,
        kernels=kernels,
        backward_kernels=launched,
        scores=MEGA * scores,
        norms=MEGA * norms,
        products=found,
    )


def _products(text: str) -> Products:
    kind, *figures = text.split(":")
    gflop, moved, rows, inner, width, count, groups = map(float, figures)
    return Products(kind, gflop * 1e9, moved * MEGA, rows, inner, width, int(count), groups)


REGNETS = {"400mf": "004", "800mf": "008", "1_6gf": "016", "3_2gf": "032", "8gf": "080", "16gf": "160", "32gf": "320"}
"""torchvision's sizes of the RegNets, and timm's."""
ALIASES = {
    "resnet_18": "resnet18", "resnet_34": "resnet34", "resnet_50": "resnet50", "resnet_101": "resnet101",
    "resnet_152": "resnet152", "vit_b_16": "vit_base_patch16_224", "vit_l_16": "vit_large_patch16_224",
    "vit_b_32": "vit_base_patch32_224", "vit_l_32": "vit_large_patch32_224", "vit_h_14": "vit_huge_patch14_224",
    "vit_base_patch16": "vit_base_patch16_224", "vit_tiny": "vit_tiny_patch16_224", "vit_small": "vit_small_patch16_224",
    "vit_base": "vit_base_patch16_224", "vit_large": "vit_large_patch16_224", "vit_huge": "vit_huge_patch14_224",
    "vit_large_patch16_224_in21k": "vit_large_patch16_224", "vit_base_patch16_224_in21k": "vit_base_patch16_224",
    "vit_huge_patch14_224_in21k": "vit_huge_patch14_224",
    "deit_base": "deit_base_patch16_224", "deit_small": "deit_small_patch16_224", "deit_tiny": "deit_tiny_patch16_224",
    "swin_t": "swin_tiny_patch4_window7_224", "swin_s": "swin_small_patch4_window7_224",
    "swin_b": "swin_base_patch4_window7_224", "swin_tiny": "swin_tiny_patch4_window7_224",
    "swin_small": "swin_small_patch4_window7_224", "swin_base": "swin_base_patch4_window7_224",
    "swin_large": "swin_large_patch4_window7_224", "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v2_1.0_224": "mobilenetv2_100", "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100", "efficientnet_v2_s": "tf_efficientnetv2_s",
    "efficientnet_v2_m": "tf_efficientnetv2_m", "efficientnet_v2_l": "tf_efficientnetv2_l",
    "convnext_tiny_224": "convnext_tiny", "convnext_small_224": "convnext_small", "convnext_base_224": "convnext_base",
    "convnext_large_224": "convnext_large", "dinov2_small": "vit_small_patch14_dinov2",
    "dinov2_base": "vit_base_patch14_dinov2", "dinov2_large": "vit_large_patch14_dinov2",
    "dinov2_giant": "vit_giant_patch14_dinov2", "beit_base_patch16": "beit_base_patch16_224",
    "clip_vit_base_patch32": "vit_base_patch32_clip_224", "clip_vit_base_patch16": "vit_base_patch16_clip_224",
    "clip_vit_large_patch14": "vit_large_patch14_clip_224", "vit_base_patch16_224_sam": "vit_base_patch16_224",
    "vit_base_patch32_224_sam": "vit_base_patch32_224", "gluon_xception65": "xception65",
    "stable_diffusion_v1_4": "stable-diffusion-v1-5", "stable-diffusion-v1": "stable-diffusion-v1-5",
    "sd1.5": "stable-diffusion-v1-5", "sd_1.5": "stable-diffusion-v1-5", "sd15": "stable-diffusion-v1-5",
    "stable_diffusion_2": "stable-diffusion-2-1", "stable_diffusion_2_1_base": "stable-diffusion-2-1",
    "sdxl": "stable-diffusion-xl-base-1.0", "stable_diffusion_xl": "stable-diffusion-xl-base-1.0",
    "sd3": "stable-diffusion-3-medium", "stable_diffusion_3_medium_diffusers": "stable-diffusion-3-medium",
    "flux.2_klein_4b": "flux.2-klein-base-4b", "flux": "flux.1-dev", "flux_dev": "flux.1-dev", "flux_schnell": "flux.1-schnell",
    "dit_xl_2": "dit-xl-2-256",
    "pixart_alpha": "pixart-xl-2-1024-ms", "faster_rcnn": "fasterrcnn_resnet50_fpn", "mask_rcnn": "maskrcnn_resnet50_fpn",
    "keypoint_rcnn": "keypointrcnn_resnet50_fpn", "retinanet": "retinanet_resnet50_fpn", "ssd300": "ssd300_vgg16",
    **{f"yolov5{size}u": f"yolov5{size}" for size in "nsmlx"},
    **{f"regnet_{side}_{size}": f"regnet{side}_{code}" for side in "xy" for size, code in REGNETS.items()},
}  # fmt: skip
"""Other names of a network, mostly torchvision's and the Hugging Face hub's."""
