"""The OpenAPI document as a page for people. Pure."""

import json
from typing import NamedTuple
from xml.etree.ElementTree import Element

from dreamgrid.server.openapi import SAME_AS, Json
from dreamgrid.server.pages.html import Child, inline, page, prose, tag
from dreamgrid.server.pages.types import Row, anchor, field_list, kind_of, type_section


def render(document: Json) -> str:
    """The page."""
    by_subject: dict[str, list[_Operation]] = {}
    aliases: dict[str, list[_Operation]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            one = _Operation(method.upper(), path, operation)
            if SAME_AS in operation:
                aliases.setdefault(operation[SAME_AS], []).append(one)
            else:
                by_subject.setdefault(operation["tags"][0], []).append(one)
    content: list[Child] = [
        *prose(document["info"]["description"]),
        *prose(_CONVENTIONS),
        tag("p", "The same for programs: ", tag("a", "/openapi.json", href="/openapi.json"), "."),
    ]
    for subject in document["tags"]:
        content += [tag("h2", subject["name"], id=anchor(f"about {subject['name']}"))]
        content += prose(subject["description"])
        for one in by_subject.get(subject["name"], []):
            content.append(_section(one, aliases.get(one.says["operationId"], [])))
    content.append(tag("h2", "Types", id="types"))
    content += [type_section(*named) for named in sorted(document["components"]["schemas"].items())]
    return page("HTTP endpoints", *content)


class _Operation(NamedTuple):
    method: str
    path: str
    says: Json


_CONVENTIONS = (
    "Answers are JSON. Below `/v1` to `/v4` they stand in `data` of an object whose `status` is "
    "`success`; below `/api` they stand alone. Every error is an object with `status` (`error`), "
    "`message` (what happened and what to do) and `errorCode`. A lock marks endpoints that need a "
    "credential: an API key in the header `api-key`, an access token in `Authorization`, or the "
    "cookie of a browser that signed in."
)


def _section(one: _Operation, aliases: list[_Operation]) -> Element:
    operation = one.says
    lock = [tag("span", "needs a credential", class_="lock")] if operation["security"] else []
    details: list[Child] = [*prose(operation["description"])]
    if operation["parameters"]:
        details.append(tag("h4", "Parameters"))
        details.append(field_list([_parameter(each) for each in operation["parameters"]]))
    if "requestBody" in operation:
        kinds = operation["requestBody"]["content"]
        details += [tag("h4", "Body"), tag("p", *_contents(kinds))]
    details.append(tag("h4", "Answers"))
    details.append(field_list([_answer(*each) for each in operation["responses"].items()]))
    if aliases:
        details.append(tag("h4", "The same at"))
        details.append(tag("ul", *[_alias(other) for other in aliases]))
    details.append(tag("pre", tag("code", _curl(one))))
    return tag(
        "details",
        tag(
            "summary",
            tag("code", f"{one.method} {one.path}", class_="path"),
            " ",
            *inline(operation["summary"]),
            " ",
            *lock,
        ),
        *details,
        id=operation["operationId"],
    )


def _alias(one: _Operation) -> Element:
    return tag("li", tag("code", f"{one.method} {one.path}"), id=one.says["operationId"])


def _parameter(one: Json) -> Row:
    schema = one["schema"]
    need = "" if one["required"] else ", optional"
    default = f", {json.dumps(schema['default'])} unless given" if "default" in schema else ""
    name: list[Child] = [tag("code", one["name"]), f" in the {one['in']}: "]
    return [*name, *kind_of(schema), need + default], [*prose(one.get("description", ""))]


def _answer(status: str, response: Json) -> Row:
    told: list[Child] = [*inline(response["description"]), " "]
    return [tag("code", status)], [*told, *_contents(response.get("content", {}))]


def _contents(kinds: Json) -> list[Child]:
    shown: list[Child] = []
    for kind, content in kinds.items():
        schema = content.get("schema")
        wrapped = schema and schema.get("properties", {}).get("data")
        if wrapped:
            shown += ["data: ", *kind_of(wrapped), " "]
        elif "itemSchema" in content:
            shown += ["events: ", *kind_of(content["itemSchema"]), " "]
        elif schema:
            shown += [*kind_of(schema), " "]
        else:
            shown += [tag("code", kind), " "]
    return shown


def _curl(one: _Operation) -> str:
    """A command to copy."""
    operation, words = one.says, ["curl"]
    if one.method != "GET":
        words.append(f"-X {one.method}")
    if operation["security"]:
        words.append('-H "api-key: $DREAMGRID_API_KEY"')
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        words.append("-H 'Content-Type: application/json' -d '{...}'")
    needed = [
        f"{each['name']}=..."
        for each in operation["parameters"]
        if each["in"] == "query" and each["required"]
    ]
    address = one.path + ("?" + "&".join(needed) if needed else "")
    return " ".join([*words, f'"$DREAMGRID_URL{address}"'])
