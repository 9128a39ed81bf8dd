"""HTTP endpoints, each declared once: its route, its checks and its documentation follow from that.

    api = Endpoints("Files", "Links for inputs and results.")

    @api.get("/v1/image/uploadUrl", errors=(DuplicateProject,))
    async def upload_url(account: Account, query: ImageUpload, request: web.Request) -> UploadUrl:
        '''A link that takes an input picture.'''

A handler names what it needs: `account` (then a credential is required), `path`, `query` and `body`
(structs, decoded and checked before the handler runs), `request`, and `response` where it sets
headers or cookies. What it returns is encoded by its annotation; a response goes out as it is.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, TypedDict, TypeVar, Unpack, get_args, get_type_hints

import msgspec
from aiohttp import web

from dreamgrid import errors as failures
from dreamgrid.protocol import failures as failures_on_wire
from dreamgrid.protocol.rest import Success
from dreamgrid.protocol.scopes import Scope
from dreamgrid.server import http
from dreamgrid.server.refusals import expect

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])

JSON = "application/json"
_STRUCTS = ("path", "query", "body")
_GIVEN = frozenset({"account", *_STRUCTS, "request", "response"})


class Options(TypedDict, total=False):
    """What a declaration may add; as the attributes of `Endpoint`."""

    bare: bool
    status: int
    scope: Scope | None
    errors: tuple[type[failures.DreamgridError], ...]
    content_types: tuple[str, ...]
    receives: tuple[str, ...]
    also: Mapping[int, str]
    events: tuple[type[msgspec.Struct], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Endpoint(web.AbstractRouteDef):
    """One method of one path.

    Attributes:
        method: GET (which answers HEAD as well), POST, PUT or DELETE.
        path: The pattern of the route.
        subject: What it is about; endpoints of one subject stand together in the documentation.
        handler: Answers it.
        takes: The handler's parameters and their types.
        answer: Type of what it returns.
        bare: The answer stands alone instead of in `{"status": "success", "data": ...}`.
        status: HTTP status of success.
        scope: What an API key must be allowed to do. Unless told otherwise GET needs `read` and
            everything else `all`. None: any key will do.
        errors: What it may raise besides what follows from `takes`.
        content_types: Media types of the answer.
        receives: Media types of a request body that is no JSON.
        also: Further HTTP statuses, and what they mean.
        events: What travels in an answer that is a stream.
        error_body: The shape of its errors.
    """

    method: str
    path: str
    subject: str
    handler: Callable[..., Awaitable[Any]]
    takes: Mapping[str, Any]
    answer: Any
    bare: bool = False
    status: int = 200
    scope: Scope | None = None
    errors: tuple[type[failures.DreamgridError], ...] = ()
    content_types: tuple[str, ...] = (JSON,)
    receives: tuple[str, ...] = ()
    also: Mapping[int, str] = field(default_factory=dict)
    events: tuple[type[msgspec.Struct], ...] = ()
    error_body: type[msgspec.Struct] = failures_on_wire.ErrorBody

    def __post_init__(self) -> None:
        unknown = set(self.takes) - _GIVEN
        assert not unknown, f"{self.name} takes {unknown}, which no endpoint is given"
        # So that strangers learn nothing else.
        assert not self.private or next(iter(self.takes)) == "account", self.name

    @property
    def name(self) -> str:
        """The handler's own name."""
        return self.handler.__name__

    @property
    def private(self) -> bool:
        """Whether a credential is required."""
        return "account" in self.takes

    @property
    def json_answer(self) -> Any:
        """Type of the answer where it is JSON: what is left of a choice with a whole response."""
        if not isinstance(self.answer, UnionType):
            return self.answer
        return next(kind for kind in get_args(self.answer) if kind is not web.Response)

    @property
    def all_errors(self) -> tuple[type[failures.DreamgridError], ...]:
        """Every error that it may answer with."""
        implied: list[type[failures.DreamgridError]] = []
        if any(name in self.takes for name in _STRUCTS):
            implied.append(failures.InvalidRequest)
        if self.private:
            implied.append(failures.AuthenticationFailed)
            if self.scope is not None:
                implied.append(failures.NotAllowed)
        common = (failures.TooManyRequests, failures.ServerUnavailable)
        return tuple(dict.fromkeys((*implied, *self.errors, *common)))

    def register(self, router: web.UrlDispatcher) -> list[web.AbstractRoute]:
        """Adds the route to an application; called by aiohttp."""
        resource = router.add_resource(self.path)
        methods = ("GET", "HEAD") if self.method == "GET" else (self.method,)
        return [
            resource.add_route(method, self._handle, expect_handler=expect) for method in methods
        ]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        response = web.Response(status=self.status)
        data = await self.handler(**await self._given(request, response))
        if isinstance(data, web.StreamResponse):
            return data
        response.content_type, response.charset = JSON, "utf-8"
        response.body = http.encoded(data if self.bare else Success(data=data))
        return response

    async def _given(self, request: web.Request, response: web.Response) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, kind in self.takes.items():
            match name:
                case "account":
                    given[name] = http.require_account(request, self.scope)
                case "path":
                    given[name] = http.parameters("path", request.match_info, kind)
                case "query":
                    given[name] = http.parameters("query", request.query, kind)
                case "body":
                    given[name] = await http.body(request, kind)
                case "request":
                    given[name] = request
                case _:
                    given[name] = response
        return given


class Endpoints:
    """The endpoints of one subject, collected by decorators.

    Args:
        subject: Its name.
        about: What it is about, in a sentence or two.
        error_body: The shape of their errors.
    """

    def __init__(
        self,
        subject: str,
        about: str,
        *,
        error_body: type[msgspec.Struct] = failures_on_wire.ErrorBody,
    ) -> None:
        self.subject = subject
        self.about = about
        self._error_body = error_body
        self._all: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def get(self, *paths: str, **options: Unpack[Options]) -> Callable[[Handler], Handler]:
        """Answers GET at these paths."""
        return self._add("GET", paths, options)

    def post(self, *paths: str, **options: Unpack[Options]) -> Callable[[Handler], Handler]:
        """Answers POST at these paths."""
        return self._add("POST", paths, options)

    def put(self, *paths: str, **options: Unpack[Options]) -> Callable[[Handler], Handler]:
        """Answers PUT at these paths."""
        return self._add("PUT", paths, options)

    def delete(self, *paths: str, **options: Unpack[Options]) -> Callable[[Handler], Handler]:
        """Answers DELETE at these paths."""
        return self._add("DELETE", paths, options)

    def _add(
        self, method: str, paths: tuple[str, ...], options: Options
    ) -> Callable[[Handler], Handler]:
        if "scope" not in options:
            options["scope"] = "read" if method == "GET" else "all"

        def declare(handler: Handler) -> Handler:
            hints = get_type_hints(handler, include_extras=True)
            takes = {name: hint for name, hint in hints.items() if name != "return"}
            for path in paths:
                self._all.append(
                    Endpoint(
                        method=method,
                        path=path,
                        subject=self.subject,
                        handler=handler,
                        takes=takes,
                        answer=hints["return"],
                        error_body=self._error_body,
                        **options,
                    )
                )
            return handler

        return declare
