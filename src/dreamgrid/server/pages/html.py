"""HTML pages without a template language: elements made by calls, escaped by the library. Pure.

No page has a script or an inline style, and none loads anything from elsewhere; the policy that is
sent along makes browsers hold to that.
"""

from xml.etree.ElementTree import Element, tostring

from aiohttp import web

Child = Element | str

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def tag(name: str, /, *children: Child, **attributes: str) -> Element:
    """An element. `class_` and the like lose their underscore."""
    element = Element(name, {key.rstrip("_"): value for key, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    return element


def prose(text: str) -> list[Element]:
    """Paragraphs, parted by blank lines; words in `backquotes` become code."""
    return [tag("p", *inline(paragraph)) for paragraph in text.split("\n\n") if paragraph]


def inline(text: str) -> list[Child]:
    """A line of prose."""
    parts = text.split("`")
    return [tag("code", part) if place % 2 else part for place, part in enumerate(parts)]


def page(title: str, *content: Child) -> str:
    """A whole page with the links to all others."""
    links = {"/": "dreamgrid", "/docs/api": "HTTP", "/docs/socket": "Socket"}
    menu = [tag("a", label, href=address) for address, label in links.items()]
    document = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            tag("link", rel="stylesheet", href="/docs/style.css"),
        ),
        tag("body", tag("nav", *menu), tag("main", tag("h1", title), *content)),
        lang="en",
    )
    return "<!DOCTYPE html>\n" + tostring(document, encoding="unicode", method="html")


def response(html: str) -> web.Response:
    """A page on its way."""
    return web.Response(text=html, content_type="text/html", headers=HEADERS)
