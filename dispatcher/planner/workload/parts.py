"""A traced part of a network as blocks of work."""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.catalog.networks import Part, Products
from dispatcher.domain.hardware import Device
from dispatcher.domain.workload import Block
from dispatcher.planner.constants import constant
from dispatcher.planner.precision import Numbers
from dispatcher.planner.rates import bandwidth, peak_flops

TRACED = 2.0
"""Bytes per number of the traced operands."""
FUSED = ("attention", "windowed")
"""Products of the attention core."""
SHARES = {
    "dense": "dense_share",
    "batched": "dense_share",
    "attention": "dense_share",
    "windowed": "dense_share",
    "convolution": "convolution_share",
    "grouped": "grouped_share",
}
"""The constant that says how near a kind of product comes to a large plain one."""
PATCH = 16
"""Pixels a side of a joint transformer's token: eight per latent, two latents a side."""
NORM_FORWARD, NORM_BACKWARD = 3, 5
"""Passes of a batch norm over its input: twice read and once written, and twice two read and one written."""
EAGER_MOVED = 16.0
"""Bytes of traffic per attention score: product, softmax in fp32, cast, product."""
EAGER_SAVED = 4.0
"""Softmax in fp32; autocast and 16-bit jobs keep a 16-bit copy for the product with the values as well."""


@dataclass(frozen=True)
class Setting:
    """What a job decides beside the part: image size, precision, which weights have gradients, kernels."""

    device: Device
    numbers: Numbers
    image_size: int
    training: bool
    trained: bool = True
    rank: int = 0
    eager: bool = False
    compiled: bool = False

    @property
    def narrower(self) -> float:
        """Bytes per number over those that were traced."""
        return self.numbers.operand / TRACED

    @property
    def wide(self) -> bool:
        """Whether activations are fp32 throughout."""
        return self.numbers.operand > TRACED


def part_blocks(part: Part, setting: Setting) -> list[Block]:
    """The part in forward order, early (wide, few weights) before late (narrow, most weights)."""
    area = scale(part, setting)
    total = sum(p.moved for p in part.products)
    weights = sum(own_weights(p) for p in part.products) or 1.0
    return [_block(part, p, setting, area, p.moved / total, own_weights(p) / weights) for p in part.products]


def scale(part: Part, setting: Setting) -> float:
    """How many times the traced work on the traced image the job's images are; 1 for what does not grow with the image.

    Joint transformers compute on a text's tokens beside the image's.
    """
    area = (setting.image_size / part.image_size) ** 2
    kind, _, tokens = part.scales.partition(":")
    if kind == "joint":
        image, text = (part.image_size / PATCH) ** 2, float(tokens)
        return (image * area + text) / (image + text)
    return area if kind == "area" else 1.0


def own_weights(products: Products) -> float:
    """Weights of these products; products of two activations have none."""
    if products.kind in ("batched", "attention", "windowed"):
        return 0.0
    return products.count * products.groups * products.inner * products.width


def _block(part: Part, products: Products, setting: Setting, area: float, share: float, weight_share: float) -> Block:
    """One of the repeats of `products`, with `share` of the part's memory and traffic."""
    n = products.count
    growth = area * area if products.kind == "attention" else area
    trainable = part.trained * weight_share / n if setting.training and setting.trained else 0.0
    adapters = setting.rank * (products.inner + products.width) if setting.training and own_weights(products) else 0.0
    forward = products.flops * growth / n
    kept = share * area / n * saved_bytes(part, setting) + eager_saved(part, products, setting) * growth / n
    moved = traffic(part, products, setting, share, growth / area)
    return Block(
        name=f"{part.role}: {products.kind}",
        repeats=n,
        kind=products.kind,
        parameters=part.parameters * weight_share / n,
        trainable=trainable + adapters,
        adapters=adapters,
        cast=part.parameters * weight_share / n if setting.numbers.autocast else 0.0,
        saved_bytes=kept if setting.training else 0.0,
        input_bytes=kept * constant("checkpoint_inputs"),
        working_bytes=area * (part.extra if setting.training else part.widest) * setting.narrower,
        backward_bytes=area * part.extra * setting.narrower,
        forward_flops=forward,
        attention_flops=forward if products.kind in FUSED else 0.0,
        backward_flops=forward * _backward(part, products, setting) if setting.training else 0.0,
        rows=products.rows * area,
        inner=products.inner,
        width=products.width,
        matmul_bytes=products.moved * setting.narrower * area / n,
        moved_bytes=moved.forward * area / n,
        backward_moved=moved.ratio,
        kernels=kernels_each(part, setting),
        efficiency=efficiency(products, setting),
    )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Element-wise bytes of both passes."""

    forward: float
    backward: float

    @property
    def ratio(self) -> float:
        """Backward over forward."""
        return self.backward / self.forward if self.forward else 0.0


def traffic(part: Part, products: Products, setting: Setting, share: float, scores: float) -> Traffic:
    """Bytes per image beside the products' own, at the traced size; `scores` times that many attention scores.

    Element-wise work; transposing 16-bit activations around each convolution; the windows of depthwise ones, whose weights'
    gradients reread their inputs; attention matrices where they are written out.
    """
    plain = share * moved_bytes(part, setting)
    norms = share * waiting_bytes(part, setting)
    laid = constant("layout_traffic") * products.moved * setting.narrower if transposes(products, setting) else 0.0
    windows = products.moved * setting.narrower if products.kind == "depthwise" else 0.0
    eager = eager_moved(part, products, setting) * scores
    return Traffic(
        plain + NORM_FORWARD * norms + laid + windows + eager,
        plain * part.backward_moved * constant("backward_traffic")
        + NORM_BACKWARD * norms
        + 2 * laid
        + constant("depthwise_backward") * windows
        + 1.5 * eager,
    )


def waiting_bytes(part: Part, setting: Setting) -> float:
    """Bytes per pass over the inputs of batch norms that a device could have moved meanwhile.

    One block of threads walks each channel for its mean and variance: 64 channels leave most of a wide device idle.
    """
    if not setting.training or setting.device.kind != "cuda":
        return 0.0
    seconds = 1 / constant("norm_rate") - setting.numbers.operand / bandwidth(setting.device)
    return part.norms * max(0.0, seconds) * bandwidth(setting.device)


def saved_bytes(part: Part, setting: Setting) -> float:
    """Bytes per image from the forward to the backward pass, at the traced size."""
    kept = part.saved if setting.numbers.autocast else part.saved32 * setting.numbers.operand / 4
    if not setting.trained:
        kept *= part.frozen / part.saved if part.frozen else constant("frozen_saved")
    return kept * (constant("fused_saved") if setting.compiled else 1.0)


def moved_bytes(part: Part, setting: Setting) -> float:
    """Element-wise bytes per image of a forward pass, at the traced size."""
    moved = part.moved if setting.numbers.autocast else part.moved32 * setting.numbers.operand / 4
    return moved * constant("cached_traffic") * (constant("fused_traffic") if setting.compiled else 1.0)


def eager_saved(part: Part, products: Products, setting: Setting) -> float:
    """What attention matrices keep where they are written out, all of them."""
    if not setting.eager or products.kind not in FUSED:
        return 0.0
    return scores_of(part, products) * (EAGER_SAVED + (0.0 if setting.wide else TRACED))


def eager_moved(part: Part, products: Products, setting: Setting) -> float:
    """Traffic of attention matrices: written by the product, read and written by the softmax and its cast, read again."""
    if not setting.eager or products.kind not in FUSED:
        return 0.0
    return scores_of(part, products) * EAGER_MOVED


def scores_of(part: Part, products: Products) -> float:
    """Elements of these products' attention matrices: whole-image and windowed ones share them as their FLOPs."""
    return part.scores * products.flops / sum(p.flops for p in part.products if p.kind in FUSED)


def transposes(products: Products, setting: Setting) -> bool:
    """Whether activations change between the framework's layout and that of tensor cores; compilers change it once."""
    tensor_cores = setting.device.kind == "cuda" and setting.numbers.peak != "fp32_tflops"
    return tensor_cores and not setting.compiled and products.kind in ("convolution", "grouped")


def convolves(products: Products) -> bool:
    """Whether these are convolutions, not plain products."""
    return products.kind in ("convolution", "grouped", "depthwise")


def efficiency(products: Products, setting: Setting) -> float:
    """Share of a large plain product's speed: narrow sides leave tiles half empty."""
    if products.kind == "depthwise":
        scalar, peak = peak_flops(setting.device, "fp32_tflops"), peak_flops(setting.device, setting.numbers.peak)
        return constant("depthwise_share") * scalar / peak
    half = constant("narrow_side")
    inner, width = (side / (side + half) if side else 1.0 for side in (products.inner, products.width))
    return inner * width * constant(SHARES[products.kind])


def _backward(part: Part, products: Products, setting: Setting) -> float:
    """Backward over forward FLOPs: two passes where weights are trained or both factors are activations, else one."""
    if products.kind in FUSED or products.kind == "batched":
        return 2.0
    return part.backward_flops if setting.trained else 1.0


def kernels_each(part: Part, setting: Setting) -> float:
    """Launches of a forward pass for one of the products, element-wise ones included; compiled, chains become one."""
    total = sum(p.count for p in part.products)
    each = part.kernels / total
    return min(each, 2.0) if setting.compiled else each
