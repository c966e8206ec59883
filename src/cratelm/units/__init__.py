"""Where a model keeps its units: read them, clamp them."""
