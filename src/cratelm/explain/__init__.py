"""Excerpts in, explanations and simulated activations out."""
