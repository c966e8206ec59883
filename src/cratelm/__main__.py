"""`python -m cratelm`: the command line."""

from cratelm.cli import main

main()
