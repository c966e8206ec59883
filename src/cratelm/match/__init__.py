"""The same unit again? Units of two models, matched by what they do on the same text."""
