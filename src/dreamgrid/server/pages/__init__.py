"""The server's own pages, rendered from what the code says: HTTP, socket. Pure."""
