"""A study, a unit and activations as HTML for a notebook: the viewer's components without its script."""
