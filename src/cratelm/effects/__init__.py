"""What units do to the model's output: measured by setting them to zero, without a judge."""
