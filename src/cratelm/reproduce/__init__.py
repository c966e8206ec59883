"""The paper's tables and figures reproduced, ours next to theirs."""
