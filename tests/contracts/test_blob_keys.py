"""Names of stored files."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server.blobs.keys import (
    MAX_KEY_CHARS,
    check_key,
    input_key,
    is_key,
    preview_key,
    result_key,
)
from dreamgrid.server.blobs.media_types import OCTETS, by_extension, sniff

SAFE = string.ascii_letters + string.digits + "._-"
segments = st.text(SAFE, min_size=1, max_size=40).filter(lambda text: text[0] != ".")
ids = st.uuids().map(lambda one: str(one).upper())


@given(st.lists(segments, min_size=1, max_size=6).map("/".join))
def test_every_join_of_safe_segments_is_a_key(key: str) -> None:
    assert check_key(key) == key


@given(st.text(max_size=60))
def test_whatever_is_a_key_cannot_leave_its_folder(text: str) -> None:
    if is_key(text):
        assert set(text) <= set(SAFE + "/")
        assert all(part and not part.startswith(".") for part in text.split("/"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "a/", "/a", "a//b", ".", "..", "a/..", "../a", "a/../b", "./a", ".uploads/a"),
        *("a\\b", "a\0b", "a\nb", "a\n", "a b", "a%2e", "a?b", "a#b", "C:a", "~a", "ä", "a\u202eb"),
        "a" * 129,
        "/".join(["a" * 100] * 5),
    ],
)
def test_tricks_are_no_keys(text: str) -> None:
    assert not is_key(text)
    with pytest.raises(ValueError, match="no blob key"):
        check_key(text)


@given(ids, ids, ids, st.integers(1, 99))
def test_the_layout_makes_distinct_keys(account: str, project: str, job: str, attempt: int) -> None:
    keys = [
        input_key(account, project, "startingImage"),
        input_key(account, project, "contextImage1"),
        result_key(project, job, attempt, "png"),
        result_key(project, job, attempt + 1, "png"),
        preview_key(project, job, attempt),
    ]
    assert all(is_key(key) and len(key) < MAX_KEY_CHARS for key in keys)
    assert len(set(keys)) == len(keys)
    assert result_key(project, job, attempt, "webp").endswith(f"{job}-{attempt}.webp")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0..JFIF", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"RIFF....WAVEfmt ", "audio/wav"),
        (b"RIFF....AVI ", OCTETS),
        (b"....ftypqt  ", "video/quicktime"),
        (b"....ftypisom", "video/mp4"),
        (b"....ftypM4A ", "audio/mp4"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"fLaC", "audio/flac"),
        (b"OggS", "audio/ogg"),
        (b"\x1aE\xdf\xa3", "video/webm"),
        (b"glTF", "model/gltf-binary"),
        (b"<!doctype html>", OCTETS),
        (b"<svg xmlns=", OCTETS),
        (b"%PDF-1.7", OCTETS),
        (b"", OCTETS),
    ],
)
def test_the_first_bytes_tell_the_type(head: bytes, kind: str) -> None:
    assert sniff(head) == kind


@pytest.mark.parametrize(
    ("key", "kind"),
    [("a/b.png", "image/png"), ("a/b.JPG", "image/jpeg"), ("a.png/b", None), ("b.html", None)],
)
def test_the_extension_tells_the_type_if_it_is_media(key: str, kind: str | None) -> None:
    assert by_extension(key) == kind
