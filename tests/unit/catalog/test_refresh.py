"""Refreshing: constructed price lists in the providers' own form become cells, and bad ones are refused whole."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.catalog.prices import Quote
from dispatcher.catalog.refresh import PricesRefused, aws_quotes, gcp_components, gcp_quotes, merged

# Constructed in the form of EC2's bulk index.csv (five lines before the heading) and of the Cloud Billing Catalog's skus.list.
PREAMBLE = [
    '"FormatVersion","v1.0"',
    '"Disclaimer","x"',
    '"Publication Date","2026-11-20"',
    '"Version","1"',
    '"OfferCode","AmazonEC2"',
]
HEADING = "TermType,Unit,PricePerUnit,Instance Type,Region Code,Tenancy,Operating System,CapacityStatus,Pre Installed S/W"
GOOD = "OnDemand,Hrs,0.1700000000,c5.xlarge,us-east-1,Shared,Linux,Used,NA"
OTHERS = [
    "Reserved,Hrs,0.1000000000,c5.xlarge,us-east-1,Shared,Linux,Used,NA",
    "OnDemand,Hrs,0.3540000000,c5.xlarge,us-east-1,Shared,Windows,Used,NA",
    "OnDemand,Hrs,0.1870000000,c5.xlarge,us-east-1,Dedicated,Linux,Used,NA",
    "OnDemand,Hrs,0.6500000000,c5.xlarge,us-east-1,Shared,Linux,Used,SQL Web",
    "OnDemand,Hrs,0.0000000000,m5.xlarge,us-east-1,Shared,Linux,Used,NA",
    "OnDemand,Hrs,1.0000000000,r5.xlarge,us-east-1,Shared,Linux,Used,NA",
    "OnDemand,Hrs,2.0000000000,r5.xlarge,us-east-1,Shared,Linux,Used,NA",
]
TABLE = "machine,market,us-east-1,eu-west-1\nc5.xlarge,on-demand,0.16a,0.192b\nc5.xlarge,spot,0.07s,\n"


def sku(text: str, usd: float, usage: str = "OnDemand", region: str = "us-central1") -> dict[str, Any]:
    tiers = [{"startUsageAmount": 0, "unitPrice": {"units": str(int(usd)), "nanos": round(usd % 1 * 1e9)}}]
    return {
        "description": text,
        "category": {"resourceFamily": "Compute", "usageType": usage},
        "serviceRegions": [region],
        "pricingInfo": [{"pricingExpression": {"tieredRates": tiers}}],
    }


SKUS = [
    sku("G2 Instance Core running in Americas", 0.025),
    sku("G2 Instance Ram running in Americas", 0.003),
    sku("Nvidia L4 GPU running in Americas", 0.56),
    sku("G2 Instance Core running in Americas", 0.02),
    sku("Commitment v1: G2 Instance Core in Americas", 0.01),
    sku("G2 Custom Instance Core running in Americas", 0.9),
    sku("Nvidia L4 GPU DWS Calendar Mode in Americas", 0.2),
    sku("Spot Preemptible G2 Instance Core running in Americas", 0.01, "Preemptible"),
]


def test_only_plain_linux_on_demand_prices_are_read_and_ambiguous_ones_are_unknown() -> None:
    assert [Quote("aws", "c5.xlarge", "us-east-1", "on-demand", 0.17, "new")] == list(
        aws_quotes([*PREAMBLE, HEADING, *OTHERS, GOOD])
    )


def test_a_file_that_is_no_price_list_is_refused() -> None:
    with pytest.raises(PricesRefused, match="no heading"):
        list(aws_quotes(["<html>", "busy"]))


def test_components_leave_out_commitments_custom_and_calendar_mode_and_take_the_dearest_of_doubles() -> None:
    found = gcp_components(SKUS)
    assert 0.025 == found["g2", "core", "us-central1", "on-demand"]
    assert 0.56 == found["L4", "gpu", "us-central1", "on-demand"]
    assert ("g2", "core", "us-central1", "spot") in found


def test_a_gcp_machine_costs_its_cores_memory_and_gpus_and_is_unknown_where_one_is() -> None:
    found = {(quote.machine, quote.market): quote.usd for quote in gcp_quotes(SKUS)}
    assert found["g2-standard-4", "on-demand"] == pytest.approx(4 * 0.025 + 16 * 0.003 + 0.56)
    assert ("g2-standard-4", "spot") not in found


def test_new_prices_take_their_cells_and_leave_the_others() -> None:
    changed = merged(TABLE, [Quote("aws", "c5.xlarge", "us-east-1", "on-demand", 0.17, "new")], "A")
    assert TABLE.replace("0.16a", "0.17A") == changed


@pytest.mark.parametrize("usd", [0.05, 0.9, 700.0])
def test_one_bad_price_refuses_the_refresh(usd: float) -> None:
    with pytest.raises(PricesRefused) as caught:
        merged(TABLE, [Quote("aws", "c5.xlarge", "us-east-1", "on-demand", usd, "new")], "A")
    assert "c5.xlarge" in caught.value.message


def test_a_list_of_unknown_machines_is_refused() -> None:
    with pytest.raises(PricesRefused, match="no price"):
        merged(TABLE, [Quote("aws", "zz9.large", "us-east-1", "on-demand", 1.0, "new")], "A")
