"""Measurements behind tools/benchmark.py, tools/zoo.py and tools/seams.py; not in the wheel."""

# First, for the processes that begin with a module of this package: it makes Detectron2 import.
import smallobj  # noqa: F401
