"""Traces a network in the user's own Python: no weights, no GPU.

Read from its text by `python -c`; the request stands on stdin, the answer on the last line of stdout. Python >= 3.8.
"""

# ruff: noqa: SLF001 - torch and transformers mark private what is set here

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

HALF = {"bf16": "bfloat16", "fp16": "float16"}
FIGURES = (
    "name", "kind", "layer", "parameters", "trainable", "adapters", "cast", "saved", "inputs", "results", "peaks", "flops",
    "moved", "attention", "product_bytes", "kernels", "sides", "product",
)  # fmt: skip
INTEGERS = ("indices", "Long", "Int", "scalar types")
MOST_SEGMENTS = 20_000


class Refused(Exception):
    """Why there is no trace, as a sentence."""


def main() -> None:
    """Trace what stdin asks for, and leave without running anybody's exit code."""
    answering = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.read())
    try:
        found = trace(request)
    except Refused as why:
        found = {"refused": str(why)}
    except BaseException as error:  # noqa: BLE001 - whatever the user's code raises, exits included, is an answer
        found = {"refused": "tracing it failed: " + sentence(error)}
    answering.write("\n" + json.dumps(found) + "\n")
    answering.flush()
    os._exit(0)


def trace(request: dict[str, Any]) -> dict[str, Any]:
    """The segments of one pass."""
    torch = required("torch", "")
    limit_memory(request.get("memory", 0))
    recorder = types.ModuleType("recorder")
    try:
        exec(compile(request["recorder"], "recorder.py", "exec"), recorder.__dict__)  # noqa: S102 - our own second half
    except (ImportError, AttributeError) as error:
        raise Refused("torch " + torch.__version__ + " is too old to trace with: " + sentence(error)) from None
    sys.path[:] = [entry for entry in sys.path if entry]
    if "factory" in request["subject"]:
        os.chdir(request["workdir"])
        sys.path.insert(0, request["workdir"])
    network = built(torch, request)
    return {**recorded(torch, recorder, network, request), "torch": str(torch.__version__)}


def required(name: str, why: str) -> Any:
    """An installed library. Refuses, in a sentence, where there is none or it is broken."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise Refused(name + " is not installed in " + sys.executable + why) from None
        raise Refused(name + " cannot be imported: " + sentence(error)) from None
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        raise Refused(name + " cannot be imported: " + sentence(error)) from None


def limit_memory(most: int) -> None:
    """Nothing here needs much memory: who takes more than `most` bytes is told so by an error, not by the machine."""
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        if most:
            resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def sentence(error: BaseException) -> str:
    """An error in one line, with its kind."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    if isinstance(error, SystemExit):
        return "it ended the process with exit code " + str(error.code)
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "it takes more memory than tracing allows (" + kind + ")"
    return (kind + ": " + said[0])[:300] if said else kind


# --- the network ------------------------------------------------------------------------------------------------------


def built(torch: Any, request: dict[str, Any]) -> Any:
    """The network, without data where that can be done."""
    make = maker(request)
    torch.nn.Module.cuda = lambda self, *_: self
    try:
        with torch.device("meta"):
            network = make()
    except Refused:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        try:
            network = make()
        except Exception as error:  # noqa: BLE001 - user code
            raise Refused("it cannot be built: " + sentence(error)) from None
    except BaseException as error:  # noqa: BLE001 - user code, exits included
        raise Refused("it cannot be built: " + sentence(error)) from None
    if not isinstance(network, torch.nn.Module):
        raise Refused("it returned " + type(network).__name__ + ", not a torch.nn.Module")
    return network


def maker(request: dict[str, Any]) -> Callable[[], Any]:
    """What makes the network when called."""
    subject = request["subject"]
    if "factory" in subject:
        return from_factory(subject["factory"])
    if "config" in subject:
        return from_config(subject, request)
    return from_name(subject["network"])


def from_factory(target: str) -> Callable[[], Any]:
    """The user's function, class or module named pkg.mod:build."""
    place, _, name = target.partition(":")
    try:
        found: Any = importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise Refused("there is no module " + str(error.name) + " for " + target) from None
    except BaseException as error:  # noqa: BLE001 - user code, exits included
        raise Refused(place + " cannot be imported: " + sentence(error)) from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise Refused(place + " has no " + name)
        found = getattr(found, part)
    if isinstance(found, type) or not hasattr(found, "named_parameters"):
        return lambda: found()
    return lambda: found


def from_config(subject: dict[str, Any], request: dict[str, Any]) -> Callable[[], Any]:
    """A Hugging Face network of a configuration, whose code is transformers' own."""
    transformers = required("transformers", ", which rebuilds this model")
    if request["attention"] == "sdpa":
        without_masks()
    settings = dict(subject["config"])
    if settings.get("auto_map"):
        raise Refused("its configuration asks for code from elsewhere (auto_map), which is not run")
    kind = settings.pop("model_type", None)
    if kind not in transformers.CONFIG_MAPPING:
        raise Refused("transformers " + transformers.__version__ + " knows no model type " + repr(kind))
    named = [n for n in settings.pop("architectures", None) or () if hasattr(transformers, n)]
    with complaint("its configuration is refused"):
        config = transformers.CONFIG_MAPPING[kind](**settings)
    config.use_cache = not request["training"]
    config._attn_implementation = request["attention"]
    owner = getattr(transformers, subject.get("class") or "", None)
    if named:
        return lambda: getattr(transformers, named[0])._from_config(config)
    return lambda: (owner or transformers.AutoModel).from_config(config)


def without_masks() -> None:
    """On real data without padding no mask is made; whether there is padding cannot be asked of fake data."""
    with contextlib.suppress(ImportError):
        masking: Any = importlib.import_module("transformers.masking_utils")
        for name in ("create_causal_mask", "create_sliding_window_causal_mask"):
            setattr(masking, name, lambda *_, **__: None)


@contextlib.contextmanager
def complaint(what: str) -> Any:
    """Errors of what stands in it, as a refusal."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - libraries raise anything
        raise Refused(what + ": " + sentence(error)) from None


def from_name(name: str) -> Callable[[], Any]:
    """A network of torchvision's or timm's."""
    reasons = []
    for library in ("torchvision", "timm"):
        try:
            module = required("torchvision.models" if library == "torchvision" else library, "")
        except Refused as why:
            reasons.append(str(why))
            continue
        known = module.list_models()
        spelled = next((one for one in (name, name.replace("-", "_"), name.replace(".", "_")) if one in known), None)
        if spelled and library == "torchvision":
            return lambda: module.get_model(spelled, weights=None)
        if spelled:
            return lambda: module.create_model(spelled, pretrained=False)
        reasons.append(library + " has no " + name)
    raise Refused("; ".join(reasons))


# --- the pass ---------------------------------------------------------------------------------------------------------


def recorded(torch: Any, recorder: Any, network: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The pass, once with inputs as given, and where it asks for token numbers once more with such."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    network.train(request["training"])
    if HALF.get(request["width"]):
        network.to(getattr(torch, HALF[request["width"]]))
    with FakeTensorMode(allow_non_fake_inputs=True):
        materialise(torch, network)
        if request["lora"]:
            adapt(torch, network, request["lora"])
        try:
            return passed(torch, recorder, network, request, integers=False)
        except Exception as error:  # noqa: BLE001 - user code
            if not request["guessed"] or not any(word in str(error) for word in INTEGERS):
                raise Refused(told(error)) from None
            with complaint("its forward pass fails"):
                return passed(torch, recorder, network, request, integers=True)


def told(error: BaseException) -> str:
    """Why a pass failed: values that nobody computed, or the network's own error."""
    if type(error).__name__ in ("DataDependentOutputException", "DynamicOutputShapeException", "GuardOnDataDependentSymNode"):
        return "its forward pass depends on the values of its data (" + sentence(error) + ")"
    return "its forward pass fails: " + sentence(error)


def passed(torch: Any, recorder: Any, network: Any, request: dict[str, Any], *, integers: bool) -> dict[str, Any]:
    """One forward pass, and the backward pass where it trains."""
    book = recorder.Recorder([*network.parameters(), *network.buffers()])
    counted = recorder.watch(network, book)
    given, named = inputs(torch, request, integers=integers)
    for tensor in recorder.tensors((given, named)):
        book.born(tensor)
    half = getattr(torch, HALF.get(request["cast"], "float32"))
    like = recorder.CudaLike(
        book, causal=request["causal"], fused=request["attention"] != "eager", cast=half if request["cast"] else None
    )
    casting = torch.autocast("cpu", half) if request["cast"] else contextlib.nullcontext()
    with torch.set_grad_enabled(request["training"]), like, book:
        with casting:
            output = network(*given, **named)
            book.begin(recorder.Segment("loss" if request["training"] else "output", ""))
            loss = loss_of(torch, recorder, output) if request["training"] else None
            held = [output]
            del output
            let_go(recorder, held)
        gc.collect()
        book.turn()
        if loss is not None:
            loss.backward()
    recorder.count(book.segments[0], network.parameters(), counted)
    if len(book.segments) > MOST_SEGMENTS:
        raise Refused("it runs " + str(len(book.segments)) + " modules in one pass, too many to tell apart")
    return {"segments": [{key: getattr(one, key) for key in FIGURES} for one in book.segments], "integers": integers}


def let_go(recorder: Any, held: list[Any]) -> None:
    """A training loop holds the output; once the backward pass has its gradient, it no longer counts."""
    for tensor in recorder.tensors(held):
        if tensor.requires_grad and tensor.dim():
            tensor.register_hook(lambda _grad: held.clear())


def inputs(torch: Any, request: dict[str, Any], *, integers: bool) -> tuple[list[Any], dict[str, Any]]:
    """Fake data of a batch: positional and by name."""
    wide = getattr(torch, HALF.get(request["width"], "float32"))

    def tensor(one: dict[str, Any]) -> Any:
        kind = getattr(torch, one["dtype"]) if one.get("dtype") else torch.int64 if integers else wide
        shape = (request["batch"], *one["shape"])
        return torch.zeros(shape, dtype=kind) if not kind.is_floating_point else torch.empty(shape, dtype=kind)

    return [tensor(one) for one in request["inputs"]], {name: tensor(one) for name, one in request["named"].items()}


def loss_of(torch: Any, recorder: Any, output: Any) -> Any:
    """The network's own loss, else cross-entropy of class scores, else a sum."""
    own = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    if isinstance(own, torch.Tensor):
        return own
    found = [t for t in recorder.tensors(output) if t.is_floating_point() and t.requires_grad]
    if not found:
        raise Refused("its output has no gradient: nothing in it is trained")
    first = found[0]
    if first.dim() in (2, 3) and len(found) == 1:
        scores = first.flatten(0, -2)
        return torch.nn.functional.cross_entropy(scores.float(), torch.zeros(len(scores), dtype=torch.long))
    return sum(t.float().sum() for t in found)


def materialise(torch: Any, network: Any) -> None:
    """Put fake tensors in the place of all others."""
    made: dict[int, Any] = {}
    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for key, tensor in held.items():
                if tensor is not None:
                    held[key] = made.setdefault(id(tensor), fresh(torch, tensor))
        for key, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor):
                setattr(module, key, torch.empty(value.shape, dtype=value.dtype))


def fresh(torch: Any, tensor: Any) -> Any:
    """A fake tensor like this one."""
    empty = torch.empty(tensor.shape, dtype=tensor.dtype)
    return torch.nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else empty


def adapt(torch: Any, network: Any, lora: dict[str, Any]) -> None:
    """Freeze the network, and put fp32 adapters beside its linear layers as PEFT does."""
    network.requires_grad_(requires_grad=False)
    head = network.get_output_embeddings() if hasattr(network, "get_output_embeddings") else None
    adapted = 0
    for name, module in list(network.named_modules()):
        sides = linear_sides(torch, module)
        wanted = module is not head if lora["targets"] == "all-linear" else name.rpartition(".")[2] in lora["targets"]
        if not sides or not wanted:
            continue
        for part, shape in (("lora_a", (lora["rank"], sides[0])), ("lora_b", (sides[1], lora["rank"]))):
            weight = torch.nn.Parameter(torch.empty(shape, dtype=torch.float32))
            weight.added = True
            module.register_parameter(part, weight)
        module.register_forward_hook(beside)
        adapted += 1
    if not adapted:
        raise Refused("none of its layers are called " + str(lora["targets"]))


def linear_sides(torch: Any, module: Any) -> tuple[int, int] | None:
    """Inner and outer side of a linear layer; GPT-2's are written the other way round."""
    if isinstance(module, torch.nn.Linear):
        return module.in_features, module.out_features
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        return module.weight.shape[0], module.weight.shape[1]
    return None


def beside(module: Any, args: Any, output: Any) -> Any:
    """The layer's output and the adapters'."""
    given = args[0].to(module.lora_a.dtype)
    low = given @ module.lora_a.t()
    return output + ((low @ module.lora_b.t()) * 2.0).to(output.dtype)


if __name__ == "__main__":
    main()
