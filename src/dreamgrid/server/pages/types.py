"""JSON schemas in words, with links between them. Pure."""

import json
import re
from xml.etree.ElementTree import Element

from dreamgrid.server.openapi import Json
from dreamgrid.server.pages.html import Child, prose, tag

Row = tuple[list[Child], list[Child]]
"""A name with its type, and what is said about it."""


def field_list(rows: list[Row]) -> Element:
    """Names and what is said about them."""
    cells = [cell for name, told in rows for cell in (tag("dt", *name), tag("dd", *told))]
    return tag("dl", *cells)


def kind_of(schema: Json) -> list[Child]:
    """A type in few words, with links to what is told further down."""
    match schema:
        case {"$ref": str(address)}:
            name = address.rpartition("/")[2]
            found: list[Child] = [tag("a", name, href=f"#type-{anchor(name)}")]
        case {"anyOf": parts}:
            found = [piece for part in parts for piece in (" or ", *kind_of(part))][1:]
        case {"enum": words}:
            found = [" | ".join(map(str, words))]
        case {"const": value}:
            found = [json.dumps(value)]
        case {"type": "array", "items": dict(item)}:
            found = ["list of ", *kind_of(item)]
        case {"type": "object", "additionalProperties": dict(value)}:
            found = ["map of text to ", *kind_of(value)]
        case _:
            found = [str(schema.get("format") or schema.get("type", "anything")) + _limits(schema)]
    return found


def _limits(schema: Json) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None and most is None:
        return ""
    return f" from {least:g}" if most is None else f" from {least or 0:g} to {most:g}"


def type_section(name: str, schema: Json) -> Element:
    """A type with its fields, under a name that others link to."""
    required = schema.get("required", ())
    rows: list[Row] = []
    for field, kind in schema.get("properties", {}).items():
        need = "" if field in required else ", optional"
        told = prose(kind.get("description", ""))
        rows.append(([tag("code", field), ": ", *kind_of(kind), need], [*told]))
    return tag(
        "section",
        tag("h3", name),
        *prose(schema.get("description", "")),
        *([field_list(rows)] if rows else []),
        id=f"type-{anchor(name)}",
    )


def anchor(text: str) -> str:
    """The name of a place in a page."""
    return re.sub(r"\W+", "-", text.lower()).strip("-")
