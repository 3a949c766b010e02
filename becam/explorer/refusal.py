"""Requests that are not served, and why."""

from __future__ import annotations

import sys
import traceback

from becam.errors import BecamError


class Refusal(BecamError):
    """A request that is not served, in one sentence.

    Args:
        status: what HTTP calls it.
        sentence: for people; it names the way out.
        retry_after: seconds after which the same request may be served.
    """

    def __init__(self, status: int, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


def own_fault(error: Exception) -> str:
    """What is said of an error that is nobody's but ours; its traceback goes to the terminal."""
    traceback.print_exception(error, file=sys.stderr)
    return (
        f"An error in becam itself ({type(error).__name__}); please report what the terminal says."
    )
