"""Explainers on units whose explanation is known."""
