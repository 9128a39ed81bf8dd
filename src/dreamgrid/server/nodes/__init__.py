"""Several processes that are one grid: one of them coordinates, the others relay to it."""
