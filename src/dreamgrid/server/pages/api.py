"""The OpenAPI document as a page for people. Pure."""

import json
from xml.etree.ElementTree import Element

from dreamgrid.server.openapi import Json
from dreamgrid.server.pages.html import Child, inline, page, prose, tag
from dreamgrid.server.pages.types import Row, anchor, field_list, kind_of, type_section


def render(document: Json) -> str:
    """The page."""
    by_subject: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_subject.setdefault(operation["tags"][0], []).append((method, path, operation))
    content: list[Child] = [
        *prose(document["info"]["description"]),
        *prose(_CONVENTIONS),
        tag("p", "The same for programs: ", tag("a", "/openapi.json", href="/openapi.json"), "."),
    ]
    for subject in document["tags"]:
        operations = by_subject.get(subject["name"], [])
        content += [tag("h2", subject["name"], id=anchor(subject["name"]))]
        content += prose(subject["description"])
        content += [_operation(*one) for one in operations]
    content.append(tag("h2", "Types", id="types"))
    content += [
        type_section(name, schema)
        for name, schema in sorted(document["components"]["schemas"].items())
    ]
    return page("HTTP endpoints", *content)


_CONVENTIONS = (
    "Answers are JSON. Below `/v1` to `/v4` they stand in `data` of an object whose `status` is "
    "`success`; below `/api` they stand alone. Every error is an object with `status` (`error`), "
    "`message` (what happened and what to do) and `errorCode`. A lock marks endpoints that need a "
    "credential: an API key in the header `api-key`, an access token in `Authorization`, or the "
    "cookie of a browser that signed in."
)


def _operation(method: str, path: str, operation: Json) -> Element:
    private = bool(operation["security"])
    lock = [tag("span", "needs a credential", class_="lock")] if private else []
    details: list[Child] = [*prose(operation["description"])]
    if operation["parameters"]:
        details.append(tag("h4", "Parameters"))
        details.append(field_list([_parameter(one) for one in operation["parameters"]]))
    if "requestBody" in operation:
        kinds = operation["requestBody"]["content"]
        details += [tag("h4", "Body"), tag("p", *_contents(kinds))]
    details.append(tag("h4", "Answers"))
    details.append(field_list([_answer(*one) for one in operation["responses"].items()]))
    details.append(tag("pre", tag("code", _curl(method, path, operation))))
    return tag(
        "details",
        tag(
            "summary",
            tag("code", f"{method.upper()} {path}", class_=f"path {method}"),
            " ",
            tag("span", *inline(operation["summary"])),
            " ",
            *lock,
        ),
        *details,
        id=operation["operationId"],
    )


def _parameter(one: Json) -> Row:
    schema = one["schema"]
    need = "" if one["required"] else ", optional"
    default = f", {json.dumps(schema['default'])} unless given" if "default" in schema else ""
    name: list[Child] = [tag("code", one["name"]), f" in the {one['in']}: "]
    return [*name, *kind_of(schema), need + default], [*prose(one.get("description", ""))]


def _answer(status: str, response: Json) -> Row:
    told: list[Child] = [response["description"], " "]
    return [tag("code", status)], [*told, *_contents(response.get("content", {}))]


def _contents(kinds: Json) -> list[Child]:
    shown: list[Child] = []
    for kind, content in kinds.items():
        schema = content.get("schema")
        wrapped = schema and schema.get("properties", {}).get("data")
        if wrapped:
            shown += ["data: ", *kind_of(wrapped), " "]
        elif schema:
            shown += [*kind_of(schema), " "]
        else:
            shown += [tag("code", kind), " "]
    return shown


def _curl(method: str, path: str, operation: Json) -> str:
    """A command to copy."""
    words = ["curl"]
    if method != "get":
        words.append(f"-X {method.upper()}")
    if operation["security"]:
        words.append('-H "api-key: $DREAMGRID_API_KEY"')
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        words.append("-H 'Content-Type: application/json' -d '{...}'")
    needed = [
        f"{one['name']}=..."
        for one in operation["parameters"]
        if one["in"] == "query" and one["required"]
    ]
    address = path + ("?" + "&".join(needed) if needed else "")
    return " ".join([*words, f'"$DREAMGRID_URL{address}"'])
