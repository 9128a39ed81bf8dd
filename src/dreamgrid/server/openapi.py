"""The OpenAPI 3.1 document, made from the endpoints and the structs that they take and give. Pure.

Nothing in it is written by hand, so it says what the server does: paths, parameters, bodies and
answers are the types that requests are decoded with; words are docstrings; errors are classes.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect as types

from dreamgrid.protocol import failures
from dreamgrid.protocol.rest_account import SESSION_COOKIE
from dreamgrid.server import docstrings
from dreamgrid.server.endpoint import JSON, Endpoint, Endpoints

Json = dict[str, Any]

SAME_AS = "x-same-as"
"""Names the operation of which another path is only a further spelling."""

_REF = "#/components/schemas/{name}"
_PATTERN_OF_PARAMETER = re.compile(r"{(\w+):[^{}]*}")
_SECURITY_SCHEMES: Json = {
    "key": {"type": "apiKey", "in": "header", "name": "api-key", "description": "An API key."},
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token; the word Bearer before it may be left out.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "What a browser is given at sign-in.",
    },
}


def document(subjects: Sequence[Endpoints], *, about: str, version: str) -> Json:
    """The whole document.

    Args:
        subjects: All endpoints.
        about: What the server is, in a paragraph.
        version: Of the server.
    """
    endpoints = [endpoint for subject in subjects for endpoint in subject]
    kinds = list(_structured(endpoints))
    schemas, components = described_components(kinds)
    schema_of = _Lookup(zip(kinds, schemas, strict=True))
    paths: Json = {}
    names: set[str] = set()
    for endpoint in endpoints:
        operation = _operation(endpoint, schema_of)
        name, copies = endpoint.name, 1
        while name in names:  # one handler, several paths
            operation[SAME_AS] = endpoint.name
            copies += 1
            name = f"{endpoint.name}_{copies}"
        names.add(name)
        operation["operationId"] = name
        paths.setdefault(documented_path(endpoint), {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "dreamgrid", "version": version, "description": about},
        "servers": [{"url": "/"}],
        "tags": [{"name": one.subject, "description": one.about} for one in subjects],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
    }


def described_components(kinds: Sequence[Any]) -> tuple[tuple[Json, ...], dict[str, Json]]:
    """The schemas of some types, and those of the structs in them by name, with all meanings."""
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    _describe(components, kinds)
    _admit_numbers(components)
    return schemas, components


def _admit_numbers(schema: Any) -> None:
    """Decimals are written as text, but read from numbers as well; msgspec tells only the first."""
    match schema:
        case {"type": "string", "format": "decimal"}:
            schema["type"] = ["string", "number"]
        case dict():
            for part in schema.values():
                _admit_numbers(part)
        case list():
            for part in schema:
                _admit_numbers(part)


def documented_path(endpoint: Endpoint) -> str:
    """A path as the document writes it: without the patterns of its parameters."""
    return _PATTERN_OF_PARAMETER.sub(r"{\1}", endpoint.path)


class _Lookup:
    """Schemas by type; types need not be hashable."""

    def __init__(self, pairs: Iterable[tuple[Any, Json]]) -> None:
        self._pairs = list(pairs)

    def __call__(self, kind: Any) -> Json:
        found: Json = next(schema for known, schema in self._pairs if known == kind)
        return found


def _structured(endpoints: Iterable[Endpoint]) -> Iterator[Any]:
    """Every type that travels as JSON."""
    for endpoint in endpoints:
        yield endpoint.error_body
        if JSON in endpoint.content_types:
            yield endpoint.json_answer
        if "body" in endpoint.takes:
            yield endpoint.takes["body"]
        yield from endpoint.events


def _operation(endpoint: Endpoint, schema_of: _Lookup) -> Json:
    told, path = docstrings.read(endpoint.handler.__doc__), documented_path(endpoint)
    text = told.text.removeprefix(told.summary).strip()
    operation: Json = {
        "tags": [endpoint.subject],
        "summary": told.summary,
        "description": f"{text}\n\n{_needs(endpoint)}".strip(),
        "parameters": [
            parameter
            for place in ("path", "query")
            if place in endpoint.takes
            for parameter in _parameters(place, endpoint.takes[place])
            if place == "query" or f"{{{parameter['name']}}}" in path
        ],
        "responses": _responses(endpoint, schema_of),
        "security": [{name: []} for name in _SECURITY_SCHEMES] if endpoint.private else [],
    }
    if "body" in endpoint.takes:
        content = {JSON: {"schema": schema_of(endpoint.takes["body"])}}
        fields = msgspec.structs.fields(endpoint.takes["body"])
        needed = any(field.required for field in fields)  # an empty body is an empty object
        operation["requestBody"] = {"required": needed, "content": content}
    elif endpoint.receives:
        operation["requestBody"] = {
            "required": True,
            "content": {kind: {} for kind in endpoint.receives},
        }
    return operation


def _needs(endpoint: Endpoint) -> str:
    """Which keys may call it, where not every key may."""
    if not endpoint.private or endpoint.scope is None:
        return ""
    return f"Needs an API key with the scope `{endpoint.scope}`, or a wider one."


def _parameters(place: str, kind: Any) -> Iterator[Json]:
    meanings = docstrings.read(kind.__doc__).attributes
    for field in msgspec.structs.fields(kind):
        (schema,), components = msgspec.json.schema_components([field.type], ref_template=_REF)
        assert not components, f"{field.name} of {kind.__name__} is no plain value"
        if not field.required and field.default is not None:
            schema["default"] = field.default
        parameter = {
            "name": field.encode_name,
            "in": place,
            "required": place == "path" or field.required,
            "schema": _not_null(schema),
        }
        if field.name in meanings:
            parameter["description"] = meanings[field.name]
        yield parameter


def _not_null(schema: Json) -> Json:
    """A parameter is left out rather than null."""
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) != 1:
        return schema
    (choice,) = choices
    return {name: value for name, value in (schema | choice).items() if name != "anyOf"}


def _responses(endpoint: Endpoint, schema_of: _Lookup) -> Json:
    content: Json = {kind: {} for kind in endpoint.content_types}
    if endpoint.events:  # a word of OpenAPI 3.2, which tools of 3.1 pass over
        told = {"itemSchema": {"anyOf": [schema_of(kind) for kind in endpoint.events]}}
        content = dict.fromkeys(content, told)
    if JSON in content:
        schema = schema_of(endpoint.json_answer)
        content[JSON] = {"schema": schema if endpoint.bare else _wrapped(schema)}
    success: Json = {"description": "Success.", "content": content}
    if not content:
        success = {"description": "The connection is a WebSocket from here on."}
    responses: Json = {str(endpoint.status): success}
    too_large = {413: "The body is too large."} if "body" in endpoint.takes else {}
    refused = {JSON: {"schema": schema_of(endpoint.error_body)}}
    numbered = endpoint.error_body is failures.ErrorBody
    for status, meaning in (too_large | dict(endpoint.also)).items():
        responses[str(status)] = {"description": meaning}
        if status >= 400:
            responses[str(status)]["content"] = refused
        elif status not in (204, 304):  # these have no body
            responses[str(status)]["content"] = content
    for error in endpoint.all_errors:
        status = failures.http_status_of(error(""))
        known = responses.setdefault(str(status), {"description": "", "content": refused})
        meaning = docstrings.read(error.__doc__).summary
        meaning += f" (`errorCode` {failures.code_of(error(''))})" if numbered else ""
        known["description"] = f"{known['description']} {meaning}".strip()
    return dict(sorted(responses.items()))


def _wrapped(schema: Json) -> Json:
    return {
        "type": "object",
        "properties": {"status": {"const": "success"}, "data": schema},
        "required": ["status", "data"],
    }


def _describe(components: dict[str, Json], kinds: Iterable[Any]) -> None:
    """Puts the meanings of attributes, which stand in docstrings, beside the properties."""
    for struct in _structs(kinds):
        told = docstrings.read(struct.__doc__)
        for component in components.values():
            if component.get("description") != struct.__doc__:
                continue
            component["description"] = told.text
            for field in msgspec.structs.fields(struct):
                meaning = told.attributes.get(field.name)
                if meaning and field.encode_name in component["properties"]:
                    component["properties"][field.encode_name]["description"] = meaning


def _structs(kinds: Iterable[Any]) -> set[type[msgspec.Struct]]:
    """Every struct that some types are made of."""
    found: set[type[msgspec.Struct]] = set()
    todo: list[Any] = list(types.multi_type_info(kinds))
    while todo:
        node = todo.pop()
        match node:
            case types.StructType(cls=cls, fields=fields):
                if cls not in found:
                    found.add(cls)
                    todo += [field.type for field in fields]
            case types.UnionType(types=parts) | types.TupleType(item_types=parts):
                todo += parts
            case types.DictType(value_type=part):
                todo.append(part)
            case types.CollectionType(item_type=part):
                todo.append(part)
            case types.Metadata(type=part):
                todo.append(part)
    return found
