"""What a command says when it fails."""

from __future__ import annotations


def one_sentence(result):
    """The one line of a command (status, output, errors) that failed as commands should."""
    status, _, errors = result
    assert status == 1, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("becam:")]
    assert "Traceback" not in errors
    return line
