"""At the start, only absl's information and warnings are suppressed."""

import os

import pytest

from keras_grow.quiet_start import quiet_start

pytestmark = pytest.mark.no_backend

DROPPED = (
    "WARNING: All log messages before absl::InitializeLog() is called are "
    "written to STDERR\n"
    "I0000 00:00:1795632703.537328   15588 cudart_stub.cc:31] Could not find\n"
    "W0000 00:00:1795632703.537328   15588 other.cc:31] Some warning\n"
)
KEPT = (
    "E0000 00:00:1795632703.537328   15588 other.cc:31] Some error\n"
    "UserWarning: I0 is a name\n"
)


def start():
    with quiet_start():
        os.write(2, (DROPPED + KEPT).encode())


def start_and_fail():
    with quiet_start():
        os.write(2, (DROPPED + KEPT).encode())
        raise ImportError


def test_errors_and_python_warnings_are_shown(capfd):
    start()
    assert capfd.readouterr().err == KEPT
    os.write(2, DROPPED.encode())
    assert capfd.readouterr().err == DROPPED


def test_it_is_shown_when_the_import_fails(capfd):
    with pytest.raises(ImportError):
        start_and_fail()
    assert capfd.readouterr().err == KEPT
