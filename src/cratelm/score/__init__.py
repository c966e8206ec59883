"""Explanations and records in, scores with their uncertainty and controls out."""
