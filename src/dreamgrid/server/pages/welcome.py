"""The first page. Pure."""

from dreamgrid.server.pages.html import page, prose, tag


def render(about: str, version: str) -> str:
    """What this is, and where to go."""
    steps = (
        ("/docs/api", "HTTP endpoints", "prices, files, records, accounts"),
        ("/docs/socket", "Socket messages", "how projects are made and watched"),
        ("/openapi.json", "OpenAPI document", "the endpoints, for programs"),
        ("/healthz", "Health", "whether it works, and how many workers it has"),
    )
    listed = [
        tag("li", tag("a", tag("strong", name), href=address), f": {what}")
        for address, name, what in steps
    ]
    return page(
        "dreamgrid",
        *prose(about),
        tag("ul", *listed),
        *prose(
            "Requests carry an API key in the header `api-key`; whoever runs this server makes one "
            "for you with `dreamgrid keys create`."
        ),
        tag("p", f"Version {version}.", class_="quiet"),
    )
