"""The page about browsers tells the rules that the server sets."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

from dreamgrid.server.blobs import s3

PAGE = (Path(__file__).parents[2] / "docs" / "browser-apps.md").read_text("utf-8")


def test_the_rules_on_the_page_are_those_that_the_server_sets() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (told,) = json.loads(block)
    (rule,) = ElementTree.fromstring(s3._ALL_ORIGINS)
    set_: dict[str, list[str]] = {}
    for part in rule:
        set_.setdefault(part.tag, []).append(part.text or "")
    assert set_ == {
        "AllowedOrigin": told["AllowedOrigins"],
        "AllowedMethod": told["AllowedMethods"],
        "AllowedHeader": told["AllowedHeaders"],
        "ExposeHeader": told["ExposeHeaders"],
        "MaxAgeSeconds": [str(told["MaxAgeSeconds"])],
    }
