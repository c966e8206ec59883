"""Why a unit fired: the exact contributions of earlier units, and graphs of them."""
