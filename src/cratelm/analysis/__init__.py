"""What the theory behind CRATE speaks of, measured on a model: coding rates, objectives, sparsity."""
