"""The HTTP endpoints, one file per subject: decode, one call, encode."""
