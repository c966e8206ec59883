"""A model and text in, excerpts and statistics of every unit out."""
