"""The server's own pages, rendered from what the code says: the first page, HTTP, socket. Pure."""
