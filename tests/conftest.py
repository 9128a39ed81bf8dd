"""Settings for every test."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

# No deadline: on a busy machine a slow example says nothing about the code.
settings.register_profile("dreamgrid", deadline=None, max_examples=40, print_blob=True)
settings.load_profile("dreamgrid")

SKIP_NOTHING = "DREAMGRID_SKIP_NOTHING"
"""Set where everything that tests may need is installed: then a skipped test is a failed one."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip into a failure in a run that may skip nothing."""
    report = yield
    if report.skipped and os.environ.get(SKIP_NOTHING):
        report.outcome = "failed"
        report.longrepr = f"skipped, though {SKIP_NOTHING} is set: {report.longrepr}"
    return report
