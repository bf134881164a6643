"""Accelerators, processors, machine types and models are found by the spellings that people and drivers use."""

from __future__ import annotations

import pytest

from dispatcher import catalog
from dispatcher.domain.hardware import Accelerator

ACCELERATORS = {
    "A100-80GB": "A100-80GB",
    "A100:80GB": "A100-80GB",
    "NVIDIA A100-SXM4-80GB": "A100-80GB",
    "NVIDIA A100 80GB PCIe": "A100-PCIe-80GB",
    "NVIDIA A100-PCIE-40GB": "A100-PCIe-40GB",
    "NVIDIA H100 80GB HBM3": "H100-80GB",
    "H100-PCIe-80GB": "H100-PCIe-80GB",
    "NVIDIA H100 NVL": "H100-NVL-94GB",
    "NVIDIA GH200 480GB": "GH200",
    "GB200": "GB200",
    "NVIDIA H200": "H200",
    "B300": "B300",
    "Tesla T4": "T4",
    "nvidia-tesla-t4": "T4",
    "NVIDIA L4": "L4",
    "NVIDIA A10G": "A10G",
    "A10": "A10",
    "Tesla K80": "K80",
    "V100-16GB": "V100-16GB",
    "Tesla V100-SXM2-32GB": "V100-32GB",
    "Tesla V100-PCIE-16GB": "V100-PCIe-16GB",
    "NVIDIA GeForce RTX 3050 Laptop GPU": "RTX-3050-Laptop",
    "NVIDIA GeForce RTX 3050 6GB Laptop GPU": "RTX-3050-Laptop-6GB",
    "rtx3090": "RTX-3090",
    "RTX-3090": "RTX-3090",
    "GTX-1080-Ti": "GTX-1080-Ti",
    "1080ti": "GTX-1080-Ti",
    "RTX-6000-Ada": "RTX-6000-Ada",
    "NVIDIA RTX 6000 Ada Generation": "RTX-6000-Ada",
    "Quadro-RTX-8000": "Quadro-RTX-8000",
    "TITAN-RTX": "TITAN-RTX",
    "NVIDIA TITAN Xp": "TITAN-Xp",
    "NVIDIA GeForce RTX 2070 with Max-Q Design": "RTX-2070-Laptop",
    "A6000": "RTX-A6000",
    "RTX 4060 Ti 16GB": "RTX-4060-Ti-16GB",
    "AMD Instinct MI300X OAM": "MI300X",
    "AMD Radeon RX 7900 XTX": "RX-7900-XTX",
    "Intel(R) Iris(R) Xe Graphics": "Iris-Xe-96EU",
    "M1-Max": "M1-Max",
    "Apple M2 Pro": "M2-Pro",
    "M1 Pro 14-core GPU": "M1-Pro-14-core",
    "TPU v5e": "TPU-v5e",
}
CPUS = {
    "Core-i7-12700H": "Core i7-12700H",
    "i7-12700H": "Core i7-12700H",
    "12th Gen Intel(R) Core(TM) i7-12700H": "Core i7-12700H",
    "Core-i9-10940X": "Core i9-10940X",
    "Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz": "Xeon E5-2686 v4",
    "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz": "Xeon Platinum 8175M",
    "AMD EPYC 7R32 48-Core Processor": "EPYC 7R32",
    "AMD Ryzen 7 5800H with Radeon Graphics": "Ryzen 7 5800H",
    "Apple M1": "Apple M1",
    "Apple M3 Max": "Apple M3 Max",
}
MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "llama-2-7-b": "llama-2-7b",
    "mistralai/Mistral-7B-v0.1": "mistral-7b-v0.1",
    "mistral-7b": "mistral-7b-v0.1",
    "gpt2": "gpt2",
    "gpt-2-124m": "gpt2",
    "phi-1.5-1.3-b": "phi-1-5",
    "tiny-llama": "tiny-llama-1.1b",
    "google/flan-t5-base": "flan-t5-base",
    "bert-base": "bert-base-uncased",
    "mt0-xxl": "mt5-xxl",
    "bloomz-7b1": "bloom-7b1",
    "vicuna-13b": "llama-13b",
    "falcon-40-b": "falcon-40b",
}


@pytest.mark.parametrize(("text", "name"), ACCELERATORS.items())
def test_an_accelerator_is_found_by(text: str, name: str) -> None:
    found = catalog.find_accelerator(text)
    assert name == (found.name if found else None)


@pytest.mark.parametrize("part", catalog.accelerators(), ids=lambda part: part.name)
def test_every_accelerator_is_found_by_its_own_name(part: Accelerator) -> None:
    found = catalog.find_accelerator(part.name)
    assert part.name == (found.name if found else None)


@pytest.mark.parametrize("text", ["XYZ", "", "A100-24GB", "RTX 6000", "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "Llvmpipe"])
def test_no_accelerator_is_guessed_for(text: str) -> None:
    assert catalog.find_accelerator(text) is None


@pytest.mark.parametrize(
    ("text", "reported", "name"),
    [
        ("NVIDIA GeForce RTX 3050 Laptop GPU", 5.99, "RTX-3050-Laptop-6GB"),
        ("NVIDIA GeForce RTX 3050 Laptop GPU", 3.9, "RTX-3050-Laptop"),
        ("NVIDIA GeForce RTX 4060 Ti", 15.99, "RTX-4060-Ti-16GB"),
        ("NVIDIA A10G", 22.35, "A10G"),
        ("Apple M2 Pro", 16.0, "M2-Pro"),
        ("NVIDIA GeForce RTX 3080 Laptop GPU", 8.0, "RTX-3080-Laptop-8GB"),
    ],
)
def test_reported_memory_tells_variants_apart(text: str, reported: float, name: str) -> None:
    found = catalog.find_accelerator(text, reported)
    assert name == (found.name if found else None)


def test_near_names_are_suggested() -> None:
    assert "RTX-4090" in catalog.similar_accelerators("rtx4900")
    assert "g5.xlarge" in catalog.similar_instances("aws", "g5.xlrage")
    assert "llama-3.1-8b" in catalog.similar_models("lama-3.1-8b")
    assert "Core i7-12700H" in catalog.similar_cpus("Core i7-1270H")


@pytest.mark.parametrize(("text", "name"), CPUS.items())
def test_a_processor_is_found_by(text: str, name: str) -> None:
    found = catalog.find_cpu(text)
    assert name == (found.name if found else None)


def test_an_unknown_processor_is_guessed_and_says_so() -> None:
    assert catalog.find_cpu("Loongson 3A6000") is None
    guess = catalog.generic_cpu(4, name="Loongson 3A6000", arch="loongarch64", threads=8, clock_ghz=2.5)
    assert ("generic", 4, 8, 160.0) == (guess.confidence, guess.cores, guess.threads, guess.gflops)


@pytest.mark.parametrize(
    ("machine", "processor", "cores", "sockets"),
    [
        ("c5.metal", "Xeon Platinum 8275CL", 48, 2),
        ("c5.xlarge", "Xeon Platinum 8124M", 2, 1),
        ("r4.8xlarge", "Xeon E5-2686 v4", 16, 1),
        ("c7a.metal-48xl", "EPYC 9R14", 192, 2),
        ("p6-b300.48xlarge", "Intel p6-b300", 96, 1),
    ],
)
def test_the_processor_behind_a_machine_type_has_its_cores(machine: str, processor: str, cores: int, sockets: int) -> None:
    kind = catalog.find_instance("aws", machine)
    assert kind is not None
    cpu = catalog.host_cpu(kind)
    assert (processor, cores, sockets) == (cpu.name, cpu.cores, cpu.sockets)


def test_a_rented_share_of_a_processor_has_its_share_of_the_peak_and_the_bandwidth() -> None:
    kind, whole = catalog.find_instance("aws", "m7i.8xlarge"), catalog.find_cpu("Xeon Platinum 8488C")
    assert kind
    assert whole
    rented = catalog.host_cpu(kind)
    assert rented.gflops == pytest.approx(whole.gflops * 16 / 48)
    assert rented.bandwidth_gbs == pytest.approx(whole.bandwidth_gbs * 16 / 48)


@pytest.mark.parametrize(("text", "name"), MODELS.items())
def test_a_model_is_found_by(text: str, name: str) -> None:
    found = catalog.find_model(text)
    assert name == (found.name if found else None)


@pytest.mark.parametrize("text", ["", "gpt-9", "resnet50", "-"])
def test_no_model_is_guessed_for(text: str) -> None:
    assert catalog.find_model(text) is None


def test_every_alias_of_a_model_leads_to_it_or_to_a_model_of_that_name() -> None:
    lost = [alias for model in catalog.models() for alias in model.aliases if catalog.find_model(alias) is None]
    assert [] == lost
