import inspect

import pytest

from dreamgrid import errors
from dreamgrid.cli.exits import advice_for, code_of, report
from dreamgrid.protocol import failures
from tests.cli.conftest import Call

CODES = {
    "InvalidRequest": 2,
    "UnknownModel": 2,
    "MissingAsset": 2,
    "DuplicateProject": 2,
    "UnreadableMedia": 2,
    "NotFound": 2,
    "ConfigError": 2,
    "AuthenticationFailed": 3,
    "NotAllowed": 3,
    "ConnectionFailed": 3,
    "ServerUnavailable": 3,
    "ProtocolError": 3,
    "InsufficientFunds": 4,
}
ALL = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.DreamgridError)
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_the_documented_exit_code(
    kind: type[errors.DreamgridError], capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind("what happened [not markup]")
    codes = (CODES[base.__name__] for base in kind.__mro__ if base.__name__ in CODES)
    assert code_of(error) == next(codes, 1)
    report(error)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: what happened [not markup]\n")


def test_a_project_that_was_refused_for_money_says_so_by_its_code() -> None:
    error = errors.ProjectFailed("insufficient funds", code=4003)
    error.__cause__ = failures.error_from_code(4003, "insufficient funds")
    assert code_of(error) == 4


def test_a_refusal_that_holds_for_every_key_of_the_account_sends_nobody_for_another_key() -> None:
    assert advice_for(errors.NotAllowed("this account is banned from this grid: spam")) == ""


def test_a_wrong_command_line_is_told_in_plain_lines_where_no_terminal_is(call: Call) -> None:
    ran = call("video", "x", "--duration", "w" * 100, environment={})
    error, usage, help_line = ran.stderr.splitlines()
    assert ran.returncode == 2
    assert error.startswith("error: Invalid value for '--duration'")
    assert usage.startswith("usage: ")
    assert "video [OPTIONS]" in usage
    assert help_line.endswith("video --help' says what is possible")


def test_a_file_that_cannot_be_used_is_no_matter_of_options() -> None:
    assert advice_for(errors.UnreadableMedia("there is no file 'nothere.png'")) == ""
