"""Units by meaning: what was said of each, as vectors, next to a question."""
