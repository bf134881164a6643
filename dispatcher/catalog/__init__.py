"""Facts: accelerators, CPUs, machine types, prices, known models."""
