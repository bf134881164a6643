"""A plan made by hand, with every section of the screen in it."""

from __future__ import annotations

from dispatcher.domain.hardware import Battery, Gpu, Machine
from dispatcher.domain.plan import (
    Amount,
    Candidate,
    Cost,
    Estimate,
    Here,
    JobSummary,
    Offer,
    Plan,
    Range,
    Rejection,
    Suggestion,
)

LAPTOP = Machine(
    hostname="laptop",
    system="Linux",
    arch="x86_64",
    cpu="Core i5-11400H",
    cores=6,
    threads=12,
    cpus=12,
    ram_gib=16.0,
    ram_available_gib=9.8,
    gpus=(Gpu(0, "RTX 3050 Laptop", 4.0, 3.6),),
    battery=Battery(61, plugged=False),
    disk_free_gb=80,
)
NEED = Amount(
    Range(3.2, 3.6, 4.1),
    {
        "weights": 0.09,
        "gradients": 0.09,
        "optimizer": 0.09,
        "activations": 2.63,
        "workspace": 0.1,
        "reserve": 0.1,
        "context": 0.5,
    },
)


def option(offer: Offer, hours: Range, cost: Cost | None, *, fits: bool = True, **more: object) -> Candidate:
    """One candidate that needs NEED."""
    return Candidate(offer, fits, NEED, 14.6, 0.31, hours=hours, cost=cost, hard_stop_seconds=9000, **more)  # type: ignore[arg-type]


def rented(
    where: str, machine: str, device: str, memory: float, price: float, market: str = "on-demand", **more: object
) -> Offer:
    """An offer with a price of a stated day."""
    fields: dict[str, object] = {"region": "us-east-1", "vcpus": 4, "ram_gib": 16.0, **more}
    return Offer(
        where,
        machine,
        device,
        1,
        memory,
        market=market,
        price_per_hour=price,
        price_as_of="2026-11-20",
        price_source="embedded",
        **fields,
    )  # type: ignore[arg-type]


def full_plan() -> Plan:
    """ResNet-50 on a laptop whose GPU is too small."""
    here = Offer("local", None, "RTX 3050 Laptop", 1, 4.0, 3.6, ram_gib=16.0, ram_available_gib=9.8)
    phases = {"provision": 150.0, "setup": 190.0, "sync": 120.0, "run": 3120.0, "fetch": 20.0, "teardown": 45.0}
    parts = {"machine": 0.19, "disk": 0.004, "address": 0.004, "download": 0.001}
    candidates = (
        option(here, Range(1.3, 1.58, 2.0), None, changes={"training.batch_size": 32, "training.gradient_accumulation": 2}),
        option(
            rented("aws", "g4dn.xlarge", "T4", 16.0, 0.21, "spot"),
            Range(0.67, 0.87, 1.25),
            Cost(Range(0.15, 0.20, 0.62), 0.80, parts),
            phases_seconds=phases,
            notes=("restarts from its checkpoint",),
        ),
        option(
            rented("gcp", "g2-standard-4", "L4", 24.0, 0.71, region="us-central1"),
            Range(0.41, 0.52, 0.75),
            Cost(Range(0.33, 0.39, 0.58), 1.5),
        ),
        option(
            rented("gcp", "n1-standard-4", "T4", 16.0, 0.54, usable=False, why_unusable="needs an account"),
            Range(0.7, 0.9, 1.4),
            Cost(Range(0.4, 0.52, 0.9), 1.9),
        ),
    )
    return Plan(
        job=JobSummary("pets-resnet50", "train.yaml", "0" * 64),
        estimate=Estimate(
            NEED,
            Amount(Range(3.9, 4.6, 5.8), {"framework": 2.6, "loaders": 2.0}),
            Amount(Range(5, 6.2, 8), {"data": 1.1, "wheels": 5.1}),
            2.4e16,
            1.55e12,
            23.7e6,
            23.7e6,
        ),
        here=Here(
            capable=False,
            machine=LAPTOP,
            reasons=(
                "GPU memory: 3.2 GiB to spare (4.0 − 0.4 in use − 10% kept back); the job needs 3.6 GiB, at most 4.1 GiB.",
            ),
        ),
        candidates=candidates,
        choice=1,
        rejected=(Rejection("aws", "p4d.24xlarge", "$12.40, over max_cost 2.00"),),
        suggestions=(
            Suggestion(
                {"training.batch_size": 32},
                bound=True,
                effect="Fits with batch size 32, gradient accumulation 2: 2.1 GiB, about 1 h 35.",
                changes_results="BatchNorm will see 32 at a time",
            ),
        ),
        warnings=("If this AWS host itself hangs, nothing ends it before you do: mlrun setup aws --reaper",),
        work="50,000 images × 20 epochs = 24.0 PFLOP · 23.7 million parameters",
        sends={
            "files": 41,
            "bytes": 1.2e9,
            "largest": [("data/pets/a.tar", 1.1e9), ("train.py", 4000)],
            "left_out": [(".git/", "always left out"), ("runs/", ".gitignore")],
            "secrets": ["api_key.txt"],
            "complete": True,
        },
        explain=("weights: 23.7 million parameters × 4 bytes (fp32 master weights under autocast) = 0.09 GiB",),
    )
