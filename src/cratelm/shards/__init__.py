"""A stage's shards on an engine: this machine, a Slurm cluster, a Ray cluster."""
