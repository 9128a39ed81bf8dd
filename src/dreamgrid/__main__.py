"""`python -m dreamgrid` is the same as `dreamgrid`."""

from dreamgrid.cli import main

main()
