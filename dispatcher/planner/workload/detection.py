"""Detectors: features that grow with the image, heads with proposals."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dispatcher.catalog.networks import Network, Part
from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Block, Workload
from dispatcher.planner.constants import constant
from dispatcher.planner.workload.parts import Setting, part_blocks
from dispatcher.planner.workload.vision import network_of, setting_of, size_of, workload_of
from dispatcher.planner.workload.work import batch_of

FLOAT = 4.0
CLASSES = 91
"""Classes of COCO as torchvision counts them."""
BOX = 4
KEYPOINTS = 17
HEATMAP = 56
"""Side of a keypoint's heatmap in cells."""


@dataclass(frozen=True, slots=True)
class Matching:
    """What a kind of detector does beside its network, in the forward pass.

    `anchors` per cell of a pyramid whose finest level has a cell for every `stride` pixels; `dense` scores every class at every
    anchor. `kernels` small launches per batch and `kernels_each` per image, counted
    with torch on torchvision's and ultralytics' detectors.
    """

    anchors: int
    stride: int
    dense: bool
    kernels: float
    kernels_each: float


TWO_STAGES = Matching(anchors=3, stride=4, dense=False, kernels=560, kernels_each=165)
RETINA = Matching(anchors=9, stride=8, dense=True, kernels=60, kernels_each=115)
CENTRES = Matching(anchors=1, stride=8, dense=True, kernels=75, kernels_each=70)
SINGLE_SHOT = Matching(anchors=6, stride=8, dense=True, kernels=80, kernels_each=90)
YOLO = Matching(anchors=1, stride=8, dense=True, kernels=315, kernels_each=0)
KINDS = {"yolo": YOLO, "retinanet": RETINA, "fcos": CENTRES, "ssd": SINGLE_SHOT, "ssdlite": SINGLE_SHOT}
"""Kinds by the first letters of a name; the others work in two stages."""


def build(job: JobConfig, device: Device, *, for_time: bool = False) -> Workload:
    """The job's work on images of its size: the square of equal area. Raises UnknownError for an unknown network.

    The peak meets the image whose proposals all match an object, time a mean one.
    """
    network = network_of(job)
    setting = setting_of(job, device, size_of(job, network))
    found = [_matched(part, block) if for_time else block for part in network.parts for block in part_blocks(part, setting)]
    blocks = (*found, proposals(network, setting, batch_of(job)))
    return workload_of(job, device, network, blocks, setting)


def kind_of(network: Network) -> Matching:
    """How this detector matches."""
    return next((kind for word, kind in KINDS.items() if network.name.startswith(word)), TWO_STAGES)


def cells(kind: Matching, image_size: float) -> float:
    """Cells of all levels of the pyramid: each has a quarter of the next finer one's."""
    return 4 / 3 * (image_size / kind.stride) ** 2


def _matched(part: Part, block: Block) -> Block:
    """Masks and keypoints are computed for proposals that match an object only: fewer than the sampler allows."""
    share = {"masks": "matched_masks", "keypoints": "matched_keypoints"}.get(part.role)
    if share is None:
        return block
    matched = constant(share)
    return replace(
        block,
        forward_flops=block.forward_flops * matched,
        backward_flops=block.backward_flops * matched,
        matmul_bytes=block.matmul_bytes * matched,
        moved_bytes=block.moved_bytes * matched,
    )


def proposals(network: Network, setting: Setting, batch: int) -> Block:
    """Anchors, decoding and sorting, suppression, matching and sampling, and the loss over every anchor or heatmap."""
    kind = kind_of(network)
    anchors = kind.anchors * cells(kind, setting.image_size)
    scores = anchors * (CLASSES + BOX if kind.dense else BOX + 1)
    heatmaps = sum(KEYPOINTS * HEATMAP**2 * constant("matched_proposals") for part in network.parts if part.role == "keypoints")
    kept = FLOAT * constant("loss_copies") * (scores + heatmaps)
    return Block(
        name="proposals, matching and loss",
        kind="lookup",
        saved_bytes=kept if setting.training else 0.0,
        working_bytes=FLOAT * (scores + constant("objects_per_image") * anchors),
        backward_bytes=2 * FLOAT * (scores + heatmaps),
        moved_bytes=3 * kept,
        backward_moved=1.0,
        kernels=kind.kernels + kind.kernels_each * batch,
    )
