"""One forward and backward pass of a network on fake tensors: operations, kept bytes, the peak."""

# ruff: noqa: SLF001 - storages and schemas are known by what torch marks private

from __future__ import annotations

import collections
import contextlib
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

BATCH = 2
WIDENED = {
    F.layer_norm, torch.layer_norm, F.group_norm, torch.group_norm, torch.pow, torch.Tensor.pow, torch.Tensor.__pow__,
    torch.exp, torch.Tensor.exp, torch.norm, torch.Tensor.norm, torch.rsqrt, torch.Tensor.rsqrt, F.normalize, torch.cdist,
    F.cosine_similarity, F.softplus, torch.log, torch.Tensor.log, F.cross_entropy, F.rms_norm, torch.cumsum,
    torch.Tensor.cumsum, torch.prod, torch.Tensor.prod, torch.sum, torch.Tensor.sum,
}  # fmt: skip
"""What CUDA's autocast computes in fp32 (PyTorch, CUDA op-specific behaviour): the processor's autocast does not."""
SOFTENED = {F.softmax, torch.softmax, torch.Tensor.softmax, F.log_softmax, torch.log_softmax, torch.Tensor.log_softmax}
MULTIPLYING = {"mm", "bmm", "addmm", "baddbmm", "convolution_backward"}
ALLOCATING = {"empty", "empty_like", "empty_strided", "detach", "new_empty", "new_empty_strided"}


@dataclass(frozen=True)
class Operation:
    """A kind of launch: `phase` forward or backward, its shapes if it multiplies, bytes read and written, element type.

    `constant` ones do not depend on the batch: copies of weights, their standardisation, their gradients.
    """

    phase: str
    name: str
    shapes: tuple[Any, ...] | None
    read: int
    written: int
    width: int
    constant: bool


@dataclass
class Trace:
    """What one pass over `BATCH` images did. Bytes are of the batch, weights left out."""

    size: int
    parameters: int
    trained: int
    operations: collections.Counter[Operation] = field(default_factory=collections.Counter)
    saved: int = 0
    extra: int = 0


class CudaLists(TorchFunctionMode):
    """Autocast as on CUDA; attention with a mask stays fused, as its kernels there take one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            args, kwargs = (*args[:3], *([None] if len(args) > 3 else []), *args[4:]), {**kwargs, "attn_mask": None}
            kwargs = kwargs if len(args) <= 3 else {k: v for k, v in kwargs.items() if k != "attn_mask"}
        if torch.is_autocast_enabled("cpu"):
            if func in WIDENED:
                args = tuple(a.float() if isinstance(a, torch.Tensor) and a.dtype == torch.float16 else a for a in args)
            elif func in SOFTENED and kwargs.get("dtype") is None:
                kwargs = {k: v for k, v in kwargs.items() if k != "_stacklevel"} | {"dtype": torch.float32}
        return func(*args, **kwargs)


class Recorder(TorchDispatchMode):
    """Writes down every operation that launches something, and how much is alive."""

    def __init__(self, weights: set[int], shapes: set[tuple[int, ...]]) -> None:
        super().__init__()
        self.operations: collections.Counter[Operation] = collections.Counter()
        self.phase = "forward"
        self.weights, self.shapes = weights, shapes
        self.derived: set[tuple[int, ...]] = set()
        self.held: list[Any] = []
        self.live: dict[int, int] = {}
        self.peak = 0

    @property
    def alive(self) -> int:
        """Bytes of activations and their gradients alive now."""
        return sum(self.live.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs, outputs = tensors((args, kwargs)), tensors(result)
        before = {t.untyped_storage()._cdata for t in inputs}
        new = [t for t in outputs if t.untyped_storage()._cdata not in before]
        writes = any(a.alias_info and a.alias_info.is_write for a in func._schema.arguments)
        name = func._schema.name.split("::")[1]
        constant = self._constant(name, inputs, new)
        if constant:
            self.held += [t.untyped_storage() for t in new]
        for tensor in new:
            if not constant and not (self.phase == "backward" and tuple(tensor.shape) in self.shapes):
                self._born(tensor)
        if (new or writes) and name not in ALLOCATING:
            self._note(func, name, args, inputs, new, constant=constant, result=result)
        return result

    def _constant(self, name: str, inputs: list[Any], new: list[Any]) -> bool:
        """Whether nothing here comes from the images."""
        if not (new and any(t.dim() for t in inputs)) or (self.phase == "backward" and name in MULTIPLYING):
            return False
        if name == "_to_copy" and tuple(new[0].shape) in self.shapes:
            found = True
        elif self.phase == "forward":
            found = all(t.untyped_storage()._cdata in self.weights for t in inputs if t.dim())
        else:
            found = all(tuple(t.shape) in self.derived for t in new)
        if found:
            self.weights |= {t.untyped_storage()._cdata for t in new}
            if self.phase == "forward":
                self.derived |= {tuple(t.shape) for t in new if t.dim()}
        return found

    def _born(self, tensor: Any) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.live:
            self.live[key] = storage.nbytes()
            self.peak = max(self.peak, self.alive)
            weakref.finalize(storage, self.live.pop, key, None)

    def _note(self, func: Any, name: str, args: Any, inputs: list[Any], new: list[Any], *, constant: bool, result: Any) -> None:
        read = sum(bytes_of(t) for t in inputs if t.dim())
        written = sum(map(bytes_of, new)) if new else max((bytes_of(t) for t in inputs), default=0)
        width = (new or inputs)[0].element_size()
        shapes = None if constant else shapes_of(name, args, result)
        self.operations[Operation(self.phase, name, shapes, read, written, width, constant)] += 1


def tensors(value: Any) -> list[Any]:
    """All tensors within a nest of lists and dicts."""
    return [item for item in tree_flatten(value)[0] if isinstance(item, torch.Tensor)]


def bytes_of(tensor: Any) -> int:
    """Bytes of what a tensor shows."""
    return int(tensor.numel() * tensor.element_size())


def shapes_of(name: str, args: Any, result: Any) -> tuple[Any, ...] | None:
    """The sides of products; None for other work."""
    if name == "convolution":
        return tuple(args[0].shape), tuple(args[1].shape), tuple(result.shape), args[8], 1
    if name == "convolution_backward":
        return tuple(args[1].shape), tuple(args[2].shape), tuple(args[0].shape), args[9], sum(args[10][:2])
    if name in ("mm", "bmm"):
        return tuple(args[0].shape), tuple(args[1].shape)
    if name in ("addmm", "baddbmm"):
        return tuple(args[1].shape), tuple(args[2].shape)
    if "attention" in name:
        found = [tuple(t.shape) for t in tensors(args)[:4]]
        return tuple(found[1:] if name.endswith("backward") else found)
    return None


def trace(make: Callable[[], Any], size: int, *, autocast: bool, backward: bool = True) -> Trace:
    """One pass over images of `size` pixels a side. `make` builds the network; nothing of it is computed."""
    with torch.device("meta"):
        network = make()
    with FakeTensorMode(allow_non_fake_inputs=True):
        materialise(network)
        network.train()
        images = torch.empty(BATCH, 3, size, size)
        weights = {t.untyped_storage()._cdata for t in [*network.parameters(), *network.buffers()]}
        recorder = Recorder(weights, {tuple(p.shape) for p in network.parameters()})
        saved: dict[int, Any] = {}

        def pack(tensor: Any) -> Any:
            storage = tensor.untyped_storage()
            if storage._cdata not in recorder.weights and storage._cdata != images.untyped_storage()._cdata:
                saved[storage._cdata] = storage
            return tensor

        trained = [p for p in network.parameters() if p.requires_grad]
        found = Trace(size, sum(p.numel() for p in network.parameters()), sum(p.numel() for p in trained))
        with CudaLists(), recorder:
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), casting(enabled=autocast):
                loss = loss_of(network(images))
            found.saved = sum(storage.nbytes() for storage in saved.values())
            found.extra = recorder.peak - recorder.alive
            saved.clear()
            recorder.phase, recorder.peak, start = "backward", recorder.alive, recorder.alive
            if backward:
                loss.backward()
                found.extra = max(found.extra, recorder.peak - start)
        found.operations = recorder.operations
    return found


def materialise(network: Any) -> None:
    """Put fake tensors in place of those without data."""
    made: dict[int, Any] = {}
    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for key, tensor in held.items():
                if tensor is not None:
                    held[key] = made.setdefault(id(tensor), fresh(tensor))
        for key, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and value.device.type == "meta":
                setattr(module, key, torch.empty_like(value, device="cpu"))


def fresh(tensor: Any) -> Any:
    """A fake tensor like this one."""
    empty = torch.empty(tensor.shape, dtype=tensor.dtype)
    return torch.nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else empty


def loss_of(output: Any) -> Any:
    """A loss over whatever a network returns."""
    while not isinstance(output, torch.Tensor):
        output = output["out"] if isinstance(output, dict) and "out" in output else tensors(output)[0]
    if output.dim() == 2:
        return F.cross_entropy(output, torch.zeros(len(output), dtype=torch.long))
    return output.float().sum()


@contextlib.contextmanager
def casting(*, enabled: bool) -> Iterator[None]:
    """Autocast to fp16 on the processor's fake tensors."""
    with torch.autocast("cpu", torch.float16, enabled=enabled):
        yield
