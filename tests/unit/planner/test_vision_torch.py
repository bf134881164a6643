"""What the tables say that networks keep against what torch keeps: small rebuilds, and timm's own where it is there."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.catalog.networks import COLUMNS, find_network

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
BATCH = 2
MEGA = 1e6


def kept_bytes(network: Any, size: int, *, autocast: bool = False) -> float:
    """Bytes per image that one forward pass keeps for its backward pass, parameters and their 16-bit copies left out."""
    network.train()
    image = torch.rand(BATCH, 3, size, size)
    own = {p.untyped_storage().data_ptr() for p in [*network.parameters(), *network.buffers(), image]}
    shapes = {tuple(p.shape) for p in network.parameters()}
    found: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        copied = tuple(tensor.shape) in shapes or tuple(reversed(tensor.shape)) in shapes
        if storage.data_ptr() not in own and not copied:
            found[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        nn.functional.cross_entropy(network(image), torch.zeros(BATCH, dtype=torch.long))
    return sum(storage.nbytes() for storage in found.values()) / BATCH


class Bottleneck(nn.Module):
    """ResNet's residual block, with the stride in its 3 × 3 convolution."""

    def __init__(self, into: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.body = nn.Sequential(
            *normed(nn.Conv2d(into, width, 1, bias=False)),
            nn.ReLU(inplace=True),
            *normed(nn.Conv2d(width, width, 3, stride, 1, bias=False)),
            nn.ReLU(inplace=True),
            *normed(nn.Conv2d(width, out, 1, bias=False)),
        )
        self.short = nn.Sequential(*normed(nn.Conv2d(into, out, 1, stride, bias=False))) if stride > 1 or into != out else None
        self.last = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        kept = self.short(x) if self.short else x
        found = self.body(x)
        found += kept
        return self.last(found)


class Inverted(nn.Module):
    """MobileNetV2's block: widened, filtered by channel, narrowed."""

    def __init__(self, into: int, out: int, stride: int, times: int) -> None:
        super().__init__()
        wide = into * times
        widening = [*normed(nn.Conv2d(into, wide, 1, bias=False)), nn.ReLU6(inplace=True)] if times > 1 else []
        self.body = nn.Sequential(
            *widening,
            *normed(nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False)),
            nn.ReLU6(inplace=True),
            *normed(nn.Conv2d(wide, out, 1, bias=False)),
        )
        self.adds = stride == 1 and into == out

    def forward(self, x: Any) -> Any:
        return self.body(x) + x if self.adds else self.body(x)


class Encoder(nn.Module):
    """A pre-norm transformer block with fused attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width, eps=1e-6) for _ in range(2)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Any) -> Any:
        images, tokens, width = x.shape
        qkv = self.qkv(self.norms[0](x)).reshape(images, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*qkv.unbind(0))
        x = x + self.out(mixed.transpose(1, 2).reshape(images, tokens, width))
        return x + self.mlp(self.norms[1](x))


class VisionTransformer(nn.Module):
    """ViT-B/16."""

    def __init__(self, width: int = 768, depth: int = 12, heads: int = 12, patch: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.first, self.positions = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, 197, width))
        self.blocks = nn.Sequential(*[Encoder(width, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 1000)

    def forward(self, x: Any) -> Any:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), tokens], 1) + self.positions
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def normed(convolution: Any) -> list[Any]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels)]


def resnet50() -> Any:
    blocks, into = [], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for number in range(count):
            blocks.append(Bottleneck(into, width, stride if number == 0 else 1))
            into = 4 * width
    stem = [*normed(nn.Conv2d(3, 64, 7, 2, 3, bias=False)), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def mobilenet_v2() -> Any:
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    blocks, into = [], 32
    for times, out, count, stride in rows:
        for number in range(count):
            blocks.append(Inverted(into, out, stride if number == 0 else 1, times))
            into = out
    stem = [*normed(nn.Conv2d(3, 32, 3, 2, 1, bias=False)), nn.ReLU6(inplace=True)]
    last = [*normed(nn.Conv2d(320, 1280, 1, bias=False)), nn.ReLU6(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*stem, *blocks, *last, nn.Linear(1280, 1000))


REBUILT: list[tuple[str, Callable[[], Any]]] = [
    ("resnet50", resnet50),
    ("mobilenetv2_100", mobilenet_v2),
    ("vit_base_patch16_224", VisionTransformer),
]


@pytest.mark.parametrize(("name", "make"), REBUILT)
def test_the_table_says_what_torch_keeps_in_fp32(name: str, make: Callable[[], Any]) -> None:
    network = find_network(name)
    assert network is not None
    made = make()
    assert sum(p.numel() for p in made.parameters()) == network.parameters
    assert kept_bytes(made, network.image_size) == pytest.approx(network.parts[0].saved32, rel=0.03)


@pytest.mark.parametrize(("name", "make"), REBUILT[:2])
def test_the_table_says_what_torch_keeps_under_autocast(name: str, make: Callable[[], Any]) -> None:
    network = find_network(name)
    assert network is not None
    assert kept_bytes(make(), network.image_size, autocast=True) == pytest.approx(network.parts[0].saved, rel=0.05)


TIMM = (
    "resnet18", "resnext50_32x4d", "efficientnet_b0", "mobilenetv3_large_100", "convnext_tiny", "densenet121", "vgg11",
    "regnety_016", "deit_small_patch16_224", "mixer_b16_224", "poolformer_s12", "ghostnet_100",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_the_table_says_what_timms_own_networks_keep(name: str) -> None:
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"timm cannot be imported here: {error}")
    network, made = find_network(name), timm.create_model(name, pretrained=False)
    assert network is not None
    assert sum(p.numel() for p in made.parameters()) == network.parameters
    assert kept_bytes(made, network.image_size) == pytest.approx(network.parts[0].saved32, rel=0.03)


@pytest.mark.parametrize(("name", "make"), REBUILT)
def test_the_tables_script_counts_the_same_again(name: str, make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[3] / "scripts" / "networks"))
    tracing, counting = importlib.import_module("tracing"), importlib.import_module("counting")
    network = find_network(name)
    assert network is not None
    size, known = network.image_size, network.parts[0]
    amp, full = (tracing.trace(make, size, autocast=a, backward=a) for a in (True, False))
    cells = dict(zip(COLUMNS, counting.line(name, "network", known.source, "area", amp, full), strict=True))
    assert cells["parameters"] == known.parameters
    assert float(cells["saved_mb"]) * MEGA == pytest.approx(known.saved, rel=0.05)
    assert float(cells["saved32_mb"]) * MEGA == pytest.approx(known.saved32, rel=0.03)
    assert sum(float(p.split(":")[1]) for p in str(cells["products"]).split()) * 1e9 == pytest.approx(known.flops, rel=0.01)
    assert float(cells["backward_flops"]) == pytest.approx(known.backward_flops, rel=0.03)
