"""Recording by the paper's protocol: windows of one flattened stream, its own selections, faults included."""
