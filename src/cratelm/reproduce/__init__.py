"""The paper's tables and figures made again, ours beside theirs."""
