"""Detectors and diffusion models by their parts, built from their published settings."""

# ruff: noqa: ARG001 - every part is called with the same arguments

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from tracing import tensors

PROPOSALS, MATCHED = 515, 129
"""Proposals per image (torchvision samples 512), and those with masks or keypoints: odd, so as not to equal a weight's side."""
FROZEN = ("conv1", "bn1", "layer1")
"""What torchvision leaves untrained of a pretrained backbone."""
TWO_STAGES = {
    "fasterrcnn_resnet50_fpn": ("boxes",),
    "maskrcnn_resnet50_fpn": ("boxes", "masks"),
    "keypointrcnn_resnet50_fpn": ("boxes", "keypoints"),
    "fasterrcnn_resnet50_fpn_v2": ("boxes",),
    "maskrcnn_resnet50_fpn_v2": ("boxes", "masks"),
    "fasterrcnn_mobilenet_v3_large_fpn": ("boxes",),
    "fasterrcnn_mobilenet_v3_large_320_fpn": ("boxes",),
}
ONE_STAGE = (
    "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2", "fcos_resnet50_fpn", "ssd300_vgg16", "ssdlite320_mobilenet_v3_large",
)  # fmt: skip
YOLO = tuple(f"{family}{size}" for family in ("yolov5", "yolov8", "yolo11") for size in "nsmlx")
SIZES = {"fasterrcnn_mobilenet_v3_large_320_fpn": 320, "ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320}


@dataclass(frozen=True)
class System:
    """One part: the network's name, the part's, its source, how it scales, the image size, and what builds it."""

    name: str
    part: str
    source: str
    scales: str
    size: int
    make: Callable[[], Any]


class Features(nn.Module):
    """A detector's backbone, its pyramid, and the head that looks at every cell."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone = detector.backbone
        self.head = detector.rpn.head if hasattr(detector, "rpn") else detector.head

    def forward(self, images: Any) -> Any:
        found = self.head(list(self.backbone(images).values()))
        parts = list(found.values()) if isinstance(found, dict) else found[0] + found[1]
        return summed(parts)


class Yolo(nn.Module):
    """A detector of one stage, all its levels; it computes with its own weights while it is built."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from ultralytics.nn.tasks import DetectionModel

        with torch.device("cpu"):
            self.network = DetectionModel(f"{name}.yaml", verbose=False)

    def forward(self, images: Any) -> Any:
        return summed(tensors(self.network(images)))


class Head(nn.Module):
    """What a two-stage detector does with its proposals."""

    def __init__(self, detector: Any, which: str) -> None:
        super().__init__()
        heads, word = detector.roi_heads, {"boxes": "box", "masks": "mask", "keypoints": "keypoint"}[which]
        self.side, self.count = (7, PROPOSALS) if which == "boxes" else (14, MATCHED)
        self.steps = nn.Sequential(getattr(heads, f"{word}_head"), getattr(heads, f"{word}_predictor"))

    def forward(self, images: Any) -> Any:
        cell = images.reshape(len(images), -1)[:, :1].reshape(-1, 1, 1, 1)
        found = self.steps(cell.expand(-1, 256, self.side, self.side).repeat(self.count, 1, 1, 1) * 1.0)
        return summed(found if isinstance(found, tuple) else (found,))


def summed(parts: Any) -> Any:
    """A loss that needs every output."""
    return sum(part.float().sum() for part in parts).reshape(1, 1, 1, 1)


def detectors() -> list[System]:
    """torchvision's detectors, and ultralytics'."""
    found = []
    for name in (*TWO_STAGES, *ONE_STAGE):
        size = SIZES.get(name, 1024)
        found.append(System(name, "features", "torchvision", "area", size, lambda n=name: Features(detector(n))))
        found += [
            System(name, which, "torchvision", "fixed", size, lambda n=name, w=which: Head(detector(n), w))
            for which in TWO_STAGES.get(name, ())
        ]
    return found + [System(name, "features", "ultralytics", "area", 640, lambda n=name: Yolo(n)) for name in YOLO]


def detector(name: str) -> Any:
    """A detector as it is fine-tuned: frozen norms and early layers where its recipe has them."""
    from torchvision.models import detection
    from torchvision.ops.misc import FrozenBatchNorm2d

    made = getattr(detection, name)(weights=None, weights_backbone=None)
    if "_v2" in name or "ssd" in name:
        return made
    for module in list(made.backbone.modules()):
        for key, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, key, FrozenBatchNorm2d(child.num_features))
    for key, weight in getattr(made.backbone, "body", made.backbone).named_parameters():
        if key.startswith(FROZEN):
            weight.requires_grad_(requires_grad=False)
    return made


class Called(nn.Module):
    """A part that is called with its own inputs; the images tell only how many and how large.

    `frozen`: its weights have no gradients, but its input has, as below adapters.
    """

    def __init__(self, part: Any, call: Callable[..., Any], *, frozen: bool = False) -> None:
        super().__init__()
        self.part, self.call, self.frozen = part, call, frozen
        if frozen:
            part.requires_grad_(requires_grad=False)

    def forward(self, images: Any) -> Any:
        def zeros(*sides: int) -> Any:
            return images.new_zeros(len(images), *sides)

        def latents(*sides: int) -> Any:
            return zeros(*sides).requires_grad_() if self.frozen else zeros(*sides)

        found = self.call(self.part, zeros, latents, torch.zeros(len(images), dtype=torch.long), images.shape[-1])
        return summed((found[0] if isinstance(found, tuple) else found,))


def conditional(tokens: int, width: int, *, pooled: bool = False) -> Callable[..., Any]:
    """A call of a UNet that attends to a text."""

    def call(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
        added = {"added_cond_kwargs": {"text_embeds": zeros(1280), "time_ids": zeros(6)}} if pooled else {}
        return net(latents(4, size // 8, size // 8), times, zeros(tokens, width), return_dict=False, **added)

    return call


def _sd3(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
    text = {"encoder_hidden_states": zeros(333, 4096), "pooled_projections": zeros(2048)}
    return net(latents(16, size // 8, size // 8), timestep=times, return_dict=False, **text)


def _flux(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
    cells = (size // 16) ** 2
    places = {"img_ids": torch.zeros(cells, 3), "txt_ids": torch.zeros(512, 3)}
    text = {"encoder_hidden_states": zeros(512, 4096), "pooled_projections": zeros(768)}
    guidance = times.float() if net.config.guidance_embeds else None
    return net(latents(cells, 64), timestep=times.float(), guidance=guidance, return_dict=False, **places, **text)


def _klein(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
    cells = (size // 16) ** 2
    places = {"img_ids": torch.zeros(cells, 4), "txt_ids": torch.zeros(512, 4)}
    text = {"encoder_hidden_states": zeros(512, 7680)}
    return net(latents(cells, 128), timestep=times.float(), guidance=None, return_dict=False, **places, **text)


def _pixart(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
    large = net.config.sample_size == 128
    micro = {"resolution": zeros(2) if large else None, "aspect_ratio": zeros(1) if large else None}
    side = size // 8
    return net(latents(4, side, side), encoder_hidden_states=zeros(120, 4096), timestep=times, added_cond_kwargs=micro)[0]


def _dit(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
    return net(latents(4, size // 8, size // 8), timestep=times, class_labels=times, return_dict=False)


def _pixels(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
    return net(latents(3, size, size), times, return_dict=False)


def _encoder(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
    return net(latents(3, size, size))


def clip(width: int, layers: int, heads: int) -> Callable[[], Any]:
    """A CLIP text encoder."""
    from transformers import CLIPTextConfig, CLIPTextModel

    def call(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
        return net(torch.zeros(len(times), 77, dtype=torch.long)).last_hidden_state

    sides = {"hidden_size": width, "intermediate_size": 4 * width, "projection_dim": width}
    settings = {"num_hidden_layers": layers, "num_attention_heads": heads, "attn_implementation": "sdpa"}
    return lambda: Called(CLIPTextModel(CLIPTextConfig(**sides, **settings)), call)


def t5(tokens: int) -> Callable[[], Any]:
    """T5 XXL's encoder."""
    from transformers import T5Config, T5EncoderModel

    def call(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
        return net(torch.zeros(len(times), tokens, dtype=torch.long)).last_hidden_state

    settings = {"num_layers": 24, "num_heads": 64, "feed_forward_proj": "gated-gelu"}
    return lambda: Called(T5EncoderModel(T5Config(vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, **settings)), call)


def qwen3(tokens: int) -> Callable[[], Any]:
    """Qwen3 4B as an encoder of texts."""
    from transformers import Qwen3Config, Qwen3Model

    def call(net: Any, zeros: Any, latents: Any, times: Any, size: int) -> Any:
        return net(torch.zeros(len(times), tokens, dtype=torch.long), use_cache=False).last_hidden_state

    sides = {"vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "head_dim": 128}
    settings = {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "attn_implementation": "sdpa"}
    return lambda: Called(Qwen3Model(Qwen3Config(**sides, **settings)), call)


def autoencoder(channels: int) -> Callable[[], Any]:
    """The image encoder of the KL autoencoder that latent diffusion models share."""
    from diffusers import AutoencoderKL

    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    sides = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": channels}
    return lambda: Called(AutoencoderKL(**kinds, **sides).encoder, _encoder)


def diffusion() -> list[System]:
    """Diffusion models: each denoiser, then what is frozen beside it."""
    import diffusers as d

    small, large, huge, images = clip(768, 12, 12), clip(1024, 23, 16), clip(1280, 32, 20), autoencoder(4)
    sdxl = {
        "sample_size": 128, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "block_out_channels": (320, 640, 1280),
        "transformer_layers_per_block": (1, 2, 10), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }  # fmt: skip
    sd2 = {"sample_size": 96, "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}
    sd3 = {
        "sample_size": 128, "patch_size": 2, "in_channels": 16, "num_layers": 24, "attention_head_dim": 64,
        "num_attention_heads": 24, "joint_attention_dim": 4096, "caption_projection_dim": 1536, "pooled_projection_dim": 2048,
        "out_channels": 16, "pos_embed_max_size": 192,
    }  # fmt: skip
    dit = {"num_attention_heads": 16, "attention_head_dim": 72, "in_channels": 4, "out_channels": 8, "num_layers": 28}
    pixart = {**dit, "cross_attention_dim": 1152, "caption_channels": 4096}
    klein = {
        "num_layers": 5, "num_single_layers": 20, "attention_head_dim": 128, "num_attention_heads": 24,
        "joint_attention_dim": 7680, "in_channels": 128, "guidance_embeds": False,
    }  # fmt: skip
    cifar = _unet(32, (128, 256, 256, 256), 1)
    faces = _unet(256, (128, 128, 256, 256, 512, 512), 4)
    rows: list[tuple[str, int, Any, dict[str, Any], Callable[..., Any], dict[str, Callable[[], Any]]]] = [
        ("stable-diffusion-v1-5", 512, d.UNet2DConditionModel, {"sample_size": 64, "cross_attention_dim": 768},
         conditional(77, 768), {"text": small, "images": images}),
        ("stable-diffusion-2-1", 768, d.UNet2DConditionModel, sd2, conditional(77, 1024), {"text": large, "images": images}),
        ("stable-diffusion-xl-base-1.0", 1024, d.UNet2DConditionModel, sdxl, conditional(77, 2048, pooled=True),
         {"text": small, "text_2": huge, "images": images}),
        ("stable-diffusion-3-medium", 1024, d.SD3Transformer2DModel, sd3, _sd3,
         {"text": small, "text_2": huge, "text_3": t5(256), "images": autoencoder(16)}),
        ("flux.1-dev", 1024, d.FluxTransformer2DModel, {"guidance_embeds": True}, _flux,
         {"text": small, "text_2": t5(512), "images": autoencoder(16)}),
        ("flux.1-schnell", 1024, d.FluxTransformer2DModel, {}, _flux,
         {"text": small, "text_2": t5(256), "images": autoencoder(16)}),
        ("flux.2-klein-base-4b", 1024, d.Flux2Transformer2DModel, klein, _klein,
         {"text": qwen3(512), "images": autoencoder(32)}),
        ("pixart-xl-2-512x512", 512, d.PixArtTransformer2DModel, {**pixart, "sample_size": 64}, _pixart,
         {"text": t5(120), "images": images}),
        ("pixart-xl-2-1024-ms", 1024, d.PixArtTransformer2DModel, {**pixart, "sample_size": 128}, _pixart,
         {"text": t5(120), "images": images}),
        ("dit-xl-2-256", 256, d.DiTTransformer2DModel, {**dit, "sample_size": 32, "patch_size": 2, "num_embeds_ada_norm": 1000},
         _dit, {"images": images}),
        ("ddpm-cifar10-32", 32, d.UNet2DModel, cifar, _pixels, {}),
        ("ddpm-celebahq-256", 256, d.UNet2DModel, faces, _pixels, {}),
    ]  # fmt: skip
    found = []
    for name, size, kind, settings, call, frozen in rows:
        make = lambda k=kind, s=settings, c=call, f=False: Called(k(**s), c, frozen=f)  # noqa: E731 - it keeps this row's values
        found.append(System(name, "denoiser", "diffusers", JOINT.get(call, "area"), size, make))
        for part, build in frozen.items():
            source, scales = ("diffusers", "area") if part == "images" else ("transformers", "fixed")
            found.append(System(name, part, source, scales, size, build))
    return found


JOINT = {_sd3: "joint:333", _flux: "joint:512", _klein: "joint:512"}
"""Tokens of the text beside the image's."""


def _unet(size: int, channels: tuple[int, ...], attended: int) -> dict[str, Any]:
    """A UNet on pixels that attends at one depth."""
    down = ["DownBlock2D"] * len(channels)
    down[attended] = "AttnDownBlock2D"
    up = [kind.replace("Down", "Up") for kind in reversed(down)]
    kinds = {"down_block_types": tuple(down), "up_block_types": tuple(up)}
    return {"sample_size": size, "block_out_channels": channels, "layers_per_block": 2, "attention_head_dim": None, **kinds}
