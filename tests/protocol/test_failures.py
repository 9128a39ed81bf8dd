"""Errors to numbers and back."""

import json
import re
from collections.abc import Iterator

import msgspec
import pytest

from dreamgrid import errors
from dreamgrid.errors import DreamgridError
from dreamgrid.protocol import failures
from dreamgrid.protocol.failures import ErrorBody

KNOWN = {
    errors.InvalidRequest: (4000, 400),
    errors.UnknownModel: (4001, 404),
    errors.MissingAsset: (4002, 400),
    errors.ModelNotServed: (4104, 503),
    errors.InsufficientFunds: (4003, 402),
    errors.NotAllowed: (4004, 403),
    errors.DuplicateProject: (4005, 409),
    errors.UnreadableMedia: (4006, 400),
    errors.NotFound: (404, 404),
    errors.AuthenticationFailed: (401, 401),
    errors.TooManyRequests: (429, 429),
    errors.ServerRestarting: (1001, 503),
    errors.ServerUnavailable: (5006, 503),
}


def whole_tree(kind: type[DreamgridError]) -> Iterator[type[DreamgridError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from whole_tree(child)


@pytest.mark.parametrize("kind", KNOWN, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_to_the_client_and_back(kind: type[DreamgridError]) -> None:
    error = kind("what happened")
    assert (failures.code_of(error), failures.http_status_of(error)) == KNOWN[kind]
    body = msgspec.json.decode(msgspec.json.encode(failures.body_of(error)), type=ErrorBody)
    back = failures.error_from(failures.http_status_of(error), body)
    assert type(back) is kind
    assert str(back) == "what happened"


@pytest.mark.parametrize("kind", KNOWN, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_through_a_socket_frame(kind: type[DreamgridError]) -> None:
    back = failures.error_from_code(failures.code_of(kind("x")), "what happened")
    assert type(back) is kind


@pytest.mark.parametrize(
    "kind", sorted(whole_tree(DreamgridError), key=str), ids=lambda kind: kind.__name__
)
def test_every_error_has_a_code_a_status_and_a_body(kind: type[DreamgridError]) -> None:
    error = kind("what happened")
    assert 400 <= failures.http_status_of(error) < 600
    body = json.loads(msgspec.json.encode(failures.body_of(error)))
    assert body == {
        "status": "error",
        "message": "what happened",
        "errorCode": failures.code_of(error),
    } | ({"retryAfter": error.retry_after_s} if error.retry_after_s else {})


def test_only_a_wrong_credential_is_401() -> None:
    """The published SDKs sign out at any 401."""
    signs_out = {
        kind for kind in whole_tree(DreamgridError) if failures.http_status_of(kind("")) == 401
    }
    assert signs_out == {errors.AuthenticationFailed}


def test_codes_of_ours_stay_clear_of_those_that_clients_know() -> None:
    taken = {5001, 5002, 5003, 5004, 5005, 4078, 4079, 4080, 4081, 4100, 4103, 4104, 108, 123, 149}
    ours = set(KNOWN) - {errors.ModelNotServed}  # which means what clients know it for
    assert taken.isdisjoint(failures.code_of(kind("")) for kind in ours)


def test_the_wait_travels_with_too_many_requests() -> None:
    error = errors.TooManyRequests("slow down", retry_after_s=1.5)
    body = msgspec.json.decode(msgspec.json.encode(failures.body_of(error)), type=ErrorBody)
    back = failures.error_from(429, body)
    assert isinstance(back, errors.TooManyRequests)
    assert back.retry_after_s == 1.5


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequest),
        (401, errors.AuthenticationFailed),
        (402, errors.InsufficientFunds),
        (403, errors.NotAllowed),
        (404, errors.NotFound),
        (429, errors.TooManyRequests),
        (503, errors.ServerUnavailable),
        (500, DreamgridError),
        (418, DreamgridError),
    ],
)
def test_a_code_that_nobody_knows_is_read_by_its_status(
    status: int, kind: type[DreamgridError]
) -> None:
    assert type(failures.error_from(status, ErrorBody(message="m", error_code=999_999))) is kind


def test_a_code_that_nobody_knows_in_a_frame_is_no_error_of_ours() -> None:
    assert failures.error_from_code(5000, "m") is None


def test_the_tree_drawn_in_errors_names_every_class_once() -> None:
    drawn = re.findall(r"(?:─ |^ {4})([A-Z]\w+)", errors.__doc__ or "", flags=re.MULTILINE)
    defined = {kind for kind in whole_tree(DreamgridError) if kind.__module__ == errors.__name__}
    assert sorted(drawn) == sorted(kind.__name__ for kind in defined)


@pytest.mark.parametrize("kind", [errors.ServerUnavailable, errors.ServerRestarting])
def test_what_is_unavailable_now_says_how_long_to_wait(kind: type[DreamgridError]) -> None:
    assert failures.body_of(kind("full")).retry_after == 5.0
