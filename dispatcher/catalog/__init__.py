"""Facts: accelerators, CPUs, machine types, prices, known models."""

from __future__ import annotations

from dispatcher.catalog.accelerators import accelerators, find_accelerator, similar_accelerators
from dispatcher.catalog.cpus import cpus, find_cpu, generic_cpu, host_cpu, similar_cpus
from dispatcher.catalog.instances import families, find_instance, instances, similar_instances
from dispatcher.catalog.models import KnownModel, find_model, models, similar_models
from dispatcher.catalog.networks import find_network, network_names, similar_networks
from dispatcher.catalog.offers import Shelf, offer, offers, offers_of, shelf_of, shelves
from dispatcher.catalog.prices import PriceSource, Quote, price_source, quotes, quotes_of, regions, tariff

__all__ = [
    "KnownModel",
    "PriceSource",
    "Quote",
    "Shelf",
    "accelerators",
    "cpus",
    "families",
    "find_accelerator",
    "find_cpu",
    "find_instance",
    "find_model",
    "find_network",
    "generic_cpu",
    "host_cpu",
    "instances",
    "models",
    "network_names",
    "offer",
    "offers",
    "offers_of",
    "price_source",
    "quotes",
    "quotes_of",
    "regions",
    "shelf_of",
    "shelves",
    "similar_accelerators",
    "similar_cpus",
    "similar_instances",
    "similar_models",
    "similar_networks",
    "tariff",
]
