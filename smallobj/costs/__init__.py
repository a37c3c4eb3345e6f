"""Costs of a detector: floating-point operations and memory, measured in a separate process."""
