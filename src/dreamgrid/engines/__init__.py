"""The engine contract, a registry over entry points, and one file or folder per engine."""
