"""Records one pass of a network over fake tensors. Needs torch alone."""

# ruff: noqa: SLF001 - storages and schemas are known by what torch marks private

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import flop_registry

WIDENED = {
    F.layer_norm, torch.layer_norm, F.group_norm, torch.group_norm, torch.pow, torch.Tensor.pow, torch.Tensor.__pow__,
    torch.exp, torch.Tensor.exp, torch.norm, torch.Tensor.norm, torch.rsqrt, torch.Tensor.rsqrt, F.normalize, torch.cdist,
    F.cosine_similarity, F.softplus, torch.log, torch.Tensor.log, F.cross_entropy, F.nll_loss, F.mse_loss, torch.cumsum,
    torch.Tensor.cumsum, torch.prod, torch.Tensor.prod, torch.sum, torch.Tensor.sum,
}  # fmt: skip
"""What autocast computes in fp32 on CUDA (PyTorch, op-specific behaviour), but not on a processor."""
SOFTENED = {F.softmax, torch.softmax, torch.Tensor.softmax, F.log_softmax, torch.log_softmax, torch.Tensor.log_softmax}
FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias"}


class Segment:
    """A module that ran, and what happened until the next one did. Bytes and FLOPs are of the whole batch."""

    def __init__(self, name: str, kind: str, *, layer: bool = False) -> None:
        self.name, self.kind, self.layer = name, kind, layer
        self.parameters = self.trainable = self.adapters = self.cast = 0
        self.saved = self.inputs = self.results = 0
        self.peaks = {"forward": 0, "backward": 0}
        self.flops = {"forward": 0, "backward": 0}
        self.moved = {"forward": 0, "backward": 0}
        self.attention = self.product_bytes = self.kernels = 0
        self.largest = 0
        self.sides: tuple[float, ...] = (0.0, 0.0, 0.0)
        self.product = ""


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operation that launches something, and how much is alive."""

    def __init__(self, weights: list[Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = {key_of(t) for t in weights}
        self.shapes = {tuple(t.shape) for t in weights} | {tuple(t.shape)[::-1] for t in weights}
        self.gradients: set[int] = set()
        self.held: list[Any] = []
        self.live: dict[int, tuple[int, Segment]] = {}
        self.alive = 0
        self.phase = "forward"
        self.segments = [Segment("inputs", "")]
        self.current = self.segments[0]

    def begin(self, segment: Segment) -> None:
        """What happens from now on belongs to `segment`."""
        self.segments.append(segment)
        self.current = segment
        self._mark()

    def turn(self) -> None:
        """The forward pass has ended: what is alive is kept for the backward pass."""
        for size, owner in self.live.values():
            owner.saved += size
        self.phase = "backward"
        self._mark()

    def go_back(self, segment: Segment) -> None:
        """The backward pass has reached `segment`."""
        if self.phase == "backward":
            self.current = segment
            self._mark()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and note it."""
        result = func(*args, **(kwargs or {}))
        inputs, outputs = tensors((args, kwargs)), tensors(result)
        before = {key_of(t) for t in inputs}
        new = [t for t in outputs if key_of(t) not in before]
        name = func._schema.name.split("::")[1]
        derived = self._derived(name, inputs, new)
        for position, tensor in enumerate(outputs):
            if key_of(tensor) not in before and not derived and not self._gradient(name, position, tensor, inputs):
                self.born(tensor)
        writes = any(a.alias_info and a.alias_info.is_write for a in func._schema.arguments)
        if (new or writes) and name not in FREE:
            self._note(func, name, args, kwargs or {}, inputs, new or inputs[:1], result, derived=derived)
        return result

    def born(self, tensor: Any) -> None:
        """Count a tensor's storage until it is freed."""
        storage, key = tensor.untyped_storage(), key_of(tensor)
        if key in self.live or key in self.weights:
            return
        self.live[key] = storage.nbytes(), self.current
        self.alive += storage.nbytes()
        self._mark()
        weakref.finalize(storage, self._freed, key)

    def attended(self, flops: int, read: list[Any], written: list[Any]) -> None:
        """Note an attention core, which one fused kernel computes."""
        now = self.current
        now.flops[self.phase] += flops
        if self.phase == "forward":
            now.attention += flops
            now.kernels += 1
            now.product_bytes += sum(map(bytes_of, [*read, *written]))

    def _freed(self, key: int) -> None:
        self.gradients.discard(key)
        if key in self.live:
            self.alive -= self.live.pop(key)[0]

    def _mark(self) -> None:
        self.current.peaks[self.phase] = max(self.current.peaks[self.phase], self.alive)

    def _derived(self, name: str, inputs: list[Any], new: list[Any]) -> bool:
        """Whether this comes from weights alone, as their 16-bit copies do."""
        shaped = [t for t in inputs if t.dim()]
        if not new or not shaped or not all(key_of(t) in self.weights for t in shaped):
            return False
        self.held += [t.untyped_storage() for t in new]
        self.weights |= {key_of(t) for t in new}
        if name == "_to_copy" and self.phase == "forward" and new[0].element_size() < inputs[0].element_size():
            self.current.cast += new[0].numel()
        return True

    def _gradient(self, name: str, position: int, tensor: Any, inputs: list[Any]) -> bool:
        """Whether this is a weight's gradient: those are counted from the weights."""
        if self.phase == "forward":
            return False
        from_others = bool(inputs) and all(key_of(t) in self.gradients for t in inputs if t.dim())
        shaped = tuple(tensor.shape) in self.shapes
        product = name in ("mm", "bmm", "addmm") and not any(key_of(t) in self.weights for t in inputs)
        other = (name == "convolution_backward" and position == 1) or name.startswith("embedding_dense") or tensor.dim() == 1
        if from_others or (shaped and (product or other)):
            self.gradients.add(key_of(tensor))
            weakref.finalize(tensor.untyped_storage(), self._freed, key_of(tensor))
            return True
        return False

    def _note(
        self, func: Any, name: str, args: Any, kwargs: Any, inputs: list[Any], out: list[Any], result: Any, *, derived: bool
    ) -> None:
        now, phase = self.current, self.phase
        if phase == "forward":
            now.kernels += 1
        if derived:
            return
        read = sum(bytes_of(t) for t in inputs if t.dim() and key_of(t) not in self.weights)
        written = sum(map(bytes_of, out))
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            now.moved[phase] += read + written
            return
        flops = int(formula(*args, **kwargs, out_val=result))
        now.flops[phase] += flops
        if phase == "forward":
            now.product_bytes += read + written
            now.results += written
            if flops > now.largest:
                now.largest = flops
                now.product, now.sides = sides_of(name, args, result)


class CudaLike(TorchFunctionMode):
    """Attention, dropout and autocast as their CUDA kernels keep tensors, not as a processor's do."""

    def __init__(self, recorder: Recorder, *, causal: bool, fused: bool, cast: Any) -> None:
        super().__init__()
        self.recorder, self.causal, self.fused, self.cast = recorder, causal, fused, cast

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace what differs between the two."""
        kwargs = dict(kwargs or {})
        if func is F.scaled_dot_product_attention and self.fused:
            return self._attention(*args, **kwargs)
        if func is F.dropout and args:
            return self._dropout(*args, **kwargs)
        if self.cast is not None:
            if func in WIDENED:
                args = tuple(a.float() if isinstance(a, torch.Tensor) and a.dtype == self.cast else a for a in args)
            elif func in SOFTENED and kwargs.get("dtype") is None:
                kwargs = {k: v for k, v in kwargs.items() if k != "_stacklevel"}
                kwargs["dtype"] = torch.float32
        return func(*args, **kwargs)

    def _attention(self, query: Any, key: Any, value: Any, mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,  # noqa: FBT001, FBT002
                   **more: Any) -> Any:  # fmt: skip
        if self.cast is not None:
            query, key, value = (t.to(self.cast) if t.dtype == torch.float32 else t for t in (query, key, value))
        mask = more.get("attn_mask", mask)
        masked = is_causal or (self.causal and query.shape[-2] == key.shape[-2])
        return Fused.apply(query, key, value, self.recorder, masked)  # type: ignore[no-untyped-call]

    def _dropout(self, data: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:  # noqa: FBT001, FBT002
        if not training or p == 0 or inplace:
            return data
        return Dropped.apply(data)  # type: ignore[no-untyped-call]


class Fused(torch.autograd.Function):
    """Attention in one kernel: it keeps queries, keys, values, its output and one number per row."""

    @staticmethod
    def forward(ctx: Any, query: Any, key: Any, value: Any, recorder: Recorder, causal: bool) -> Any:  # noqa: FBT001
        """An output laid out as the kernels lay it: heads within tokens."""
        *batch, heads, rows, _ = query.shape if query.dim() > 3 else (1, *query.shape)
        out = query.new_empty((*batch, rows, heads, value.shape[-1])).transpose(-2, -3)
        out = out if query.dim() > 3 else out[0]
        norms = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.recorder = recorder
        ctx.flops = attention_flops(query, key, value) // (2 if causal else 1)
        ctx.save_for_backward(query, key, value, out, norms)
        recorder.attended(ctx.flops, [query, key, value], [out])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Gradients as large as what they are of."""
        query, key, value, _, _ = ctx.saved_tensors
        ctx.recorder.attended(2 * ctx.flops, list(grads), [query, key, value])
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value), None, None


class Dropped(torch.autograd.Function):
    """Dropout that keeps a mask of one byte per element."""

    @staticmethod
    def forward(ctx: Any, data: Any) -> Any:
        """The mask, and the rest of the data."""
        mask = torch.ones_like(data, dtype=torch.bool)
        ctx.save_for_backward(mask)
        return data * 1.0

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The same of the gradient."""
        (mask,) = ctx.saved_tensors
        return grads[0] * mask


def attention_flops(query: Any, key: Any, value: Any) -> int:
    """Two products: scores, and their product with the values."""
    rows = query.numel() // query.shape[-1]
    return int(2 * rows * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def tensors(value: Any) -> list[Any]:
    """All tensors within a nest of lists and dicts."""
    return [item for item in tree_flatten(value)[0] if isinstance(item, torch.Tensor)]


def key_of(tensor: Any) -> int:
    """A storage's identity; 0 for tensors without one."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return 0


def bytes_of(tensor: Any) -> int:
    """Bytes of what a tensor shows."""
    return int(tensor.numel() * tensor.element_size())


def sides_of(name: str, args: Any, result: Any) -> tuple[str, tuple[float, ...]]:
    """The kind of a product, its rows over the batch, and its inner and outer side."""
    if name.startswith("convolution"):
        weight, out = args[1], result
        grouped = weight.shape[1] * (args[8] if len(args) > 8 else 1) > weight.shape[1]
        kind = "depthwise" if grouped and weight.shape[1] == 1 else "grouped" if grouped else "convolution"
        return kind, (out.numel() / out.shape[1], weight[0].numel(), out.shape[1])
    left, right = args[-2:] if name in ("mm", "bmm") else args[1:3]
    kind = "batched" if left.dim() > 2 else "dense"
    return kind, (left.numel() / left.shape[-1], left.shape[-1], right.shape[-1])


def units(network: Any) -> Iterator[tuple[str, Any, bool]]:
    """Modules that do not contain each other: the layers, and single modules beside them."""
    wholes = set(getattr(network, "_no_split_modules", None) or ())
    seen: set[int] = set()

    def walk(name: str, module: Any, *, layer: bool) -> Iterator[tuple[str, Any, bool]]:
        if id(module) in seen:
            return
        seen.add(id(module))
        children = list(module.named_children())
        whole = type(module).__name__ in wholes
        if not children or whole or (layer and not holds_stages(module)) or not holds_layers(module):
            yield name, module, layer
            return
        alike = layers_of(module)
        for part, child in children:
            yield from walk(name + "." + part if name else part, child, layer=part in alike)

    for part, child in network.named_children():
        yield from walk(part, child, layer=False)


def layers_of(module: Any) -> set[str]:
    """Children that are layers: two or more of a class in a row, made of parts."""
    if not isinstance(module, (torch.nn.ModuleList, torch.nn.Sequential)):
        return set()
    kinds = [type(child).__name__ for child in module.children() if any(True for _ in child.children())]
    return {name for name, child in module.named_children() if kinds.count(type(child).__name__) > 1}


def holds_layers(module: Any) -> bool:
    """Whether it, or something in it, is a row of layers or of plain modules."""
    rows = (torch.nn.ModuleList, torch.nn.Sequential)
    return any(isinstance(inner, rows) and len(list(inner.children())) > 1 for inner in module.modules())


def holds_stages(module: Any) -> bool:
    """Whether a member of a row holds a row of layers itself, as the stages of a pyramid do."""
    return any(layers_of(inner) for inner in module.modules() if inner is not module)


def watch(network: Any, recorder: Recorder) -> set[int]:
    """Begin a segment whenever a unit starts, in both passes; the set fills with the parameters that units hold."""
    counted: set[int] = set()
    for name, module, layer in units(network):
        module.register_forward_pre_hook(_starting(name, layer, recorder, counted), with_kwargs=True)
        module.register_forward_hook(_ended(recorder))
    return counted


def count(segment: Segment, weights: Any, counted: set[int]) -> None:
    """Add parameters that no segment has yet."""
    for weight in weights:
        if id(weight) in counted:
            continue
        counted.add(id(weight))
        segment.trainable += weight.numel() if weight.requires_grad else 0
        if getattr(weight, "added", False):
            segment.adapters += weight.numel()
        else:
            segment.parameters += weight.numel()


def _starting(name: str, layer: bool, recorder: Recorder, counted: set[int]) -> Callable[..., None]:  # noqa: FBT001
    def hook(module: Any, args: Any, kwargs: Any) -> None:
        if recorder.phase != "forward":
            return
        recorder.begin(Segment(name, type(module).__name__, layer=layer))
        count(recorder.current, module.parameters(), counted)
        given = {key_of(t): t for t in tensors((args, kwargs)) if t.is_floating_point()}
        flowing = [t for t in given.values() if t.requires_grad] or list(given.values())[:1]
        recorder.current.inputs = sum(bytes_of(t) for t in flowing)

    return hook


def _ended(recorder: Recorder) -> Callable[..., None]:
    def hook(_module: Any, _args: Any, output: Any) -> None:
        segment = recorder.current
        for tensor in tensors(output):
            if tensor.requires_grad:
                tensor.register_hook(lambda _grad: recorder.go_back(segment))

    return hook
