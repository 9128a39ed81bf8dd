"""The messages of the app socket as a page for people, made from their structs. Pure."""

import json
from collections.abc import Sequence
from xml.etree.ElementTree import Element

import msgspec

from dreamgrid.protocol.socket_messages import CONVERSATION, FROM_APPS, TO_APPS, SocketMessage
from dreamgrid.server import docstrings
from dreamgrid.server.openapi import Json, described_components
from dreamgrid.server.pages.html import Child, inline, page, prose, tag
from dreamgrid.server.pages.types import anchor, kind_of, type_section


def render() -> str:
    """The page."""
    messages = [*FROM_APPS, *TO_APPS]
    schemas, components = described_components([message.payload for message in messages])
    shown = [_message(*pair) for pair in zip(messages, schemas, strict=True)]
    content: list[Child] = [
        *prose(CONVERSATION),
        tag("h2", "Apps to server", id="from-apps"),
        *shown[: len(FROM_APPS)],
        tag("h2", "Server to apps", id="to-apps"),
        *shown[len(FROM_APPS) :],
        tag("h2", "Types", id="types"),
        *[type_section(name, schema) for name, schema in sorted(components.items())],
    ]
    return page("Socket messages", *content)


def _message(message: SocketMessage, schema: Json) -> Element:
    told = docstrings.read(message.payload.__doc__) if _is_struct(message.payload) else None
    text = message.meaning or (told.text if told else "")
    return tag(
        "details",
        tag(
            "summary",
            tag("code", message.type, class_="path"),
            " ",
            tag("span", *inline(_first(text))),
        ),
        *prose(text.partition("\n\n")[2]),
        tag("p", "Payload: ", *kind_of(schema)),
        *_examples(message.examples),
        id=anchor(f"{message.direction}-{message.type}"),
    )


def _examples(examples: Sequence[object]) -> list[Element]:
    found = [json.loads(msgspec.json.encode(example)) for example in examples]
    return [tag("pre", tag("code", json.dumps(one, indent=2, ensure_ascii=False))) for one in found]


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _first(text: str) -> str:
    return text.partition("\n\n")[0]
