"""Every endpoint of the OpenAI API."""

from dreamgrid.protocol.openai import ErrorAnswer
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.openai import images, models, speech, videos
from dreamgrid.server.openai.orders import Orders
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """Models, pictures, speech and videos for the clients that OpenAI publishes."""
    api = Endpoints(
        "OpenAI",
        "For clients of the OpenAI API: give them this server's address and /openai/v1, and a key.",
        error_body=ErrorAnswer,
    )
    orders = Orders(services)
    models.add(api, services)
    images.add(api, services, orders)
    speech.add(api, services, orders)
    videos.add(api, services, orders)
    return api
