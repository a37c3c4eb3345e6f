"""Measurements that tools/benchmark.py prints."""
