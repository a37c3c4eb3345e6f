"""Measurements behind tools/benchmark.py, tools/zoo.py and tools/seams.py; not in the wheel."""

# Imported first, since it makes Detectron2 importable in processes that start with this package.
import smallobj  # noqa: F401
