# SPDX-License-Identifier: MIT
"""Fixtures of the tests that run in the box, and the sum of them."""

import machine
import pytest


@pytest.fixture(scope="session")
def outside():
    host = machine.Outside()
    yield host
    host.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the journal says stands beside what failed."""
    report = (yield).get_result()
    if report.failed:
        report.sections.append(("journal of spaled", machine.journal()[-6000:]))


def pytest_terminal_summary(terminalreporter):
    count = {kind: len(terminalreporter.getreports(kind))
             for kind in ("passed", "failed", "error", "skipped")}
    terminalreporter.write_line(f"{count['passed']} passed, {count['failed'] + count['error']} "
                                f"failed, {count['skipped']} skipped")
