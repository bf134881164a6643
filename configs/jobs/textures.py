"""Teaches a ResNet-18 to tell photographed surfaces apart: brick, grass, gravel, coins, the moon, a man.

The photographs come with scikit-image. Crops to learn from are taken from the upper two thirds of each, crops to be tested on
from the lower third, so no pixel is in both.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

SURFACES = ("brick.png", "grass.png", "gravel.png", "coins.png", "moon.png", "camera.png")


class Block(nn.Module):
    """Two 3×3 convolutions, each normed, added to what came in."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.conv_2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm_1, self.norm_2 = nn.BatchNorm2d(outside), nn.BatchNorm2d(outside)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        """The residual block."""
        y = functional.relu(self.norm_1(self.conv_1(x)))
        return functional.relu(self.norm_2(self.conv_2(y)) + self.shortcut(x))


def resnet18(classes: int) -> nn.Sequential:
    """ResNet-18 as its paper draws it (He et al. 2015, table 1)."""
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    blocks = []
    for inside, outside, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        blocks += [Block(inside, outside, stride), Block(outside, outside, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def main() -> None:
    """Train, test, save."""
    options = parse()
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    photographs = [read(name) for name in SURFACES]
    dice = torch.Generator().manual_seed(options.seed)
    train = crops(photographs, options.samples, options.image_size, dice, lower=False)
    test = crops(photographs, options.samples // 4, options.image_size, dice, lower=True)
    model = resnet18(len(SURFACES)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    print(f"{len(train[0])} crops to learn from, {len(test[0])} to be tested on, {device}")
    accuracy = 0.0
    for epoch in range(1, options.epochs + 1):
        began = time.perf_counter()
        loss = learn(model, optimizer, train, options.batch_size, device, dice)
        accuracy = judge(model, test, options.batch_size, device)
        seconds = time.perf_counter() - began
        print(f"epoch {epoch}/{options.epochs}   loss {loss:.4f}   test accuracy {accuracy:.4f}   {seconds:.1f} s")
    save(options, model, accuracy, len(test[0]))


def parse() -> argparse.Namespace:
    """The settings."""
    arguments = argparse.ArgumentParser(description="ResNet-18 on photographed surfaces")
    arguments.add_argument("--samples", type=int, default=3000, help="crops to learn from")
    arguments.add_argument("--image-size", type=int, default=64)
    arguments.add_argument("--batch-size", type=int, default=50)
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--out", type=Path, default=Path("runs/textures"))
    return arguments.parse_args()


def read(name: str) -> Tensor:
    """A photograph as grey values from −1 to 1."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit("The photographs are missing. Install them: pip install scikit-image")
    picture = Image.open(Path(package.origin).parent / "data" / name).convert("L")
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 127.5 - 1)


def crops(photographs: list[Tensor], count: int, side: int, dice: torch.Generator, *, lower: bool) -> tuple[Tensor, Tensor]:
    """`count` squares and the photograph each is from, evenly spread, half of them mirrored."""
    labels = torch.arange(count) % len(photographs)
    return torch.stack([_crop(photographs[label], side, dice, lower=lower) for label in labels.tolist()]), labels


def _crop(photograph: Tensor, side: int, dice: torch.Generator, *, lower: bool) -> Tensor:
    height, width = photograph.shape
    border = 2 * height // 3
    first, last = (border, height - side) if lower else (0, border - side)
    top = int(torch.randint(first, last + 1, (1,), generator=dice))
    left = int(torch.randint(width - side + 1, (1,), generator=dice))
    square = photograph[top : top + side, left : left + side]
    mirrored = bool(torch.randint(2, (1,), generator=dice))
    return (square.flip(1) if mirrored else square).expand(3, side, side)


def learn(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: tuple[Tensor, Tensor],
    size: int,
    device: str,
    dice: torch.Generator,
) -> float:
    """One pass; the mean loss."""
    model.train()
    images, labels = data
    total = 0.0
    for chosen in torch.randperm(len(labels), generator=dice).split(size):
        loss = functional.cross_entropy(model(images[chosen].to(device)), labels[chosen].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(labels)


@torch.no_grad()
def judge(model: nn.Module, data: tuple[Tensor, Tensor], size: int, device: str) -> float:
    """The share of crops that are told right."""
    model.eval()
    right = 0
    for images, labels in zip(data[0].split(size), data[1].split(size), strict=True):
        right += int((model(images.to(device)).argmax(1).cpu() == labels).sum())
    return right / len(data[1])


def save(options: argparse.Namespace, model: nn.Module, accuracy: float, tested: int) -> None:
    """The weights and the figure."""
    options.out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), options.out / "model.pt")
    metrics = {"test_accuracy": accuracy, "test_crops": tested, "epochs": options.epochs, "seed": options.seed}
    (options.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")


if __name__ == "__main__":
    main()
