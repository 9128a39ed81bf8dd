"""dreamgrid."""
