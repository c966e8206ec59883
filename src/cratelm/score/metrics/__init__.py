"""The metrics: one object a file, found by score/registry.py."""
