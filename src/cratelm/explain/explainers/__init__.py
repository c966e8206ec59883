"""The explainers: one object a file, found by explain/registry.py."""
