"""When pictures may share a pass: what is compared, when it is worth it, and what is kept of it."""

from collections.abc import Callable, Sequence
from operator import eq
from pathlib import Path

import pytest

from dreamgrid.engines import diffusers as spec
from dreamgrid.engines import remembered
from dreamgrid.engines.diffusers import batching
from dreamgrid.engines.diffusers.batching import (
    ALONE,
    SHORT_S,
    Proof,
    Proofs,
    prove,
    worth_holding,
)

Picture = Callable[[int, int, int], int]
"""Takes a seed, its place in the pass, and the width of the pass."""


def maker(
    picture: Picture, seconds: Callable[[int], float], seen: list[int] | None = None
) -> Callable[[Sequence[int]], tuple[Sequence[int], float]]:
    def make(seeds: Sequence[int]) -> tuple[Sequence[int], float]:
        width = len(seeds)
        if seen is not None:
            seen.append(width)
        return [picture(seed, n, width) for n, seed in enumerate(seeds)], seconds(width)

    return make


@pytest.mark.parametrize(
    ("picture", "seconds", "width"),
    [
        (lambda seed, _n, _w: seed, lambda w: 1.0 + 0.1 * w, 4),
        (lambda seed, _n, _w: seed, float, 1),  # nothing gained
        (lambda seed, _n, w: seed + 100 * w, lambda w: 1.0 + 0.01 * w, 1),  # not as alone
        (lambda seed, n, w: seed + n * (w == 4), lambda w: 1.0 + 0.1 * w, 2),
        (lambda seed, n, _w: seed + 100 * n, lambda _: 1.0, 1),  # the place counts
        (lambda seed, n, _w: seed + 100 * (n == 1), lambda _: 1.0, 1),  # one place
        (lambda seed, n, w: seed + 100 * (w == 4 and n == 2), lambda _: 1.0, 2),
        (lambda seed, n, w: seed + 100 * (w == 4 and n == seed == 3), lambda _: 1.0, 2),
        (lambda seed, n, w: seed + 100 * (w == 4 and n == 0 and seed == 3), lambda _: 1.0, 2),
    ],
)
def test_a_pass_is_shared_where_it_changes_nothing_at_any_place_and_is_worth_it(
    picture: Picture, seconds: Callable[[int], float], width: int
) -> None:
    assert prove(maker(picture, seconds), eq).width == width


def test_pictures_that_take_long_are_not_tried_together() -> None:
    seen: list[int] = []
    proof = prove(maker(lambda seed, _n, _w: seed, lambda _: 60.0, seen), eq)
    assert proof.width == 1
    assert set(seen) == {1}


def test_a_pass_is_as_wide_as_is_quickest() -> None:
    found = Proof(width=4, alone_s=1.0, together_s=2.5)
    assert [found.width_for(count) for count in (1, 2, 3, 4)] == [1, 1, 4, 4]
    assert [ALONE.width_for(count) for count in (1, 4)] == [1, 1]


def test_what_was_found_is_kept_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered.settings, "folder", tmp_path)
    monkeypatch.setattr(batching, "MOST_REMEMBERED", 2)
    proofs = Proofs()
    found = Proof(width=4, alone_s=1.0, together_s=1.5)
    for kind in ("one", "two", "three"):
        proofs.note(kind, found)
    again = Proofs()
    assert [again.of(kind) for kind in ("one", "two", "three")] == [None, found, found]
    (tmp_path / "passes.json").write_text("{")
    assert Proofs().of("two") is None


def test_a_pass_that_ends_its_process_twice_is_shared_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered.settings, "folder", tmp_path)
    found = Proof(width=4, alone_s=1.0, together_s=1.5)

    def width() -> int:
        proof = Proofs().of("one")
        assert proof is not None
        return proof.width

    Proofs().note("one", found)
    Proofs().begin("one")
    assert width() == 4, "somebody may have pulled the plug"
    once_more = Proofs()
    once_more.begin("one")
    once_more.ended("one")
    Proofs().begin("one")
    assert width() == 4, "in between one went well"
    Proofs().begin("one")
    assert width() == 1
    assert Proofs().of("one") == Proof(width=1, alone_s=1.0)


def test_a_kind_is_found_out_when_it_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_REMEMBERED", 2)
    proofs = Proofs()
    assert [proofs.wanted(kind) for kind in ("one", "two", "one")] == [False, False, True]
    assert not proofs.wanted("three")
    assert [proofs.wanted("one"), proofs.wanted("two")] == [True, False], "two is forgotten"


def test_more_than_two_jobs_are_held_only_where_all_of_them_are_known_to_be_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered.settings, "folder", tmp_path)
    proofs = Proofs()
    proofs.note("sd-v1-5 256x256", Proof(width=4, alone_s=1.0, together_s=1.5))
    proofs.note("sd-xl 512x512", Proof(width=1, alone_s=SHORT_S))
    assert worth_holding(tmp_path, ["sd-v1-5"]) == 8
    assert worth_holding(tmp_path, ["sd-xl"]) == 3
    assert worth_holding(tmp_path, ["sd-v1-5", "sd-xl"]) == 8
    assert worth_holding(tmp_path, ["sd-v1-5", "flux1-dev"]) == 2  # nothing is known of it
    assert worth_holding(tmp_path / "of another", ["sd-v1-5"]) == 2
    proofs.note("sd-xl 1024x1024", Proof(width=1, alone_s=2 * SHORT_S))
    assert worth_holding(tmp_path, ["sd-v1-5", "sd-xl"]) == 2
    assert worth_holding(tmp_path, ["sd-v1-5"]) == 8
    proofs.note("sd-v1-5 512x512", ALONE)  # how long it takes was not found out
    assert worth_holding(tmp_path, ["sd-v1-5"]) == 2


def test_where_videos_are_made_two_jobs_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered.settings, "folder", tmp_path)
    video = "wan_v2.2-14b-fp8_t2v"
    for model in ("sd-v1-5", video):
        Proofs().note(f"{model} 256x256", Proof(width=4, alone_s=1.0, together_s=1.5))
    assert spec.ENGINE.held(tmp_path, ["sd-v1-5"]) == 8
    assert spec.ENGINE.held(tmp_path, ["sd-v1-5", video]) == 2


def test_without_a_place_to_keep_it_nothing_is_lost_but_time(tmp_path: Path) -> None:
    assert remembered.settings.folder is None
    Proofs().note("a kind", ALONE)
    assert Proofs().of("a kind") is None
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(remembered.settings, "folder", tmp_path / "gone")
    Proofs().note("a kind", ALONE)
    assert "what was found out about passes cannot be kept" in caplog.text
