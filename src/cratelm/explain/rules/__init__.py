"""Rules: predicates about a token and the text before it, and lists of them fitted to a unit's activations."""
