"""What a project would cost, before it is sent."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import quote

from dreamgrid.client.catalog import Catalog
from dreamgrid.client.http import Http
from dreamgrid.errors import ProtocolError
from dreamgrid.protocol.params import ImageParams, TokenType
from dreamgrid.protocol.rest import Estimate


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """The price of a whole project in every unit.

    Attributes:
        token_type: The currency of `token`.
        token: Price in the currency that was asked for.
        usd: Price in US dollars.
        spark: Price in spark.
        sogni: Price in sogni.
    """

    token_type: TokenType
    token: Decimal
    usd: Decimal
    spark: Decimal
    sogni: Decimal

    def __str__(self) -> str:
        return f"{self.token.normalize():f} {self.token_type}"


def decimal(text: str, what: str) -> Decimal:
    """A number that the server wrote as text.

    Raises:
        ProtocolError: It is no finite number.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ProtocolError(f"the server sent '{text[:40]}' as {what}")
    return value


async def estimate(http: Http, catalog: Catalog, params: ImageParams) -> CostEstimate:
    """Asks the server for its quote; `params` are checked already."""
    options = await catalog.options(params.model)
    network = params.network or "fast"
    token_type = params.token_type or "spark"
    width, height = params.width or 0, params.height or 0
    if params.size_preset is not None:
        size = await catalog.preset(params.model, params.size_preset, network)
        width, height = size.width, size.height
    default_steps = int(options.steps.default) if options.steps else 0
    segments: list[object] = [
        token_type,
        network,
        params.model,
        params.count,
        default_steps if params.steps is None else params.steps,
        params.previews,
        0,  # no ControlNet
        params.strength or 0,
        width,
        height,
    ]
    version = "v2"
    if params.sampler is not None:
        version = "v3"
        segments += [params.guidance or 0, params.sampler, 0]
    path = "/".join(quote(str(segment), safe="") for segment in segments)
    answer = await http.bare(f"/api/{version}/job/estimate/{path}", Estimate)
    cost = answer.quote.project
    return CostEstimate(
        token_type=token_type,
        token=decimal(cost.cost_in_token, "a price"),
        usd=decimal(cost.cost_in_usd, "a price"),
        spark=decimal(cost.cost_in_spark, "a price"),
        sogni=decimal(cost.cost_in_sogni, "a price"),
    )
