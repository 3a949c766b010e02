"""The command line: one thin command a file over the public API."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing takes time, in which Ctrl-C is not heard yet
    from sys import UnraisableHookArgs
    from types import FrameType

STOPPED = "Stopped; what was complete is kept."
INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C is one line from the first instant on."""
    # Nothing is at work yet, and importing takes a while: a KeyboardInterrupt would show where.
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, _leave)
    try:
        from becam.cli.app import main as run
    finally:
        if heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def entry() -> None:
    """The process of the command line: :func:`main`, and then nothing but its end."""
    # Where Python can only print a KeyboardInterrupt, such as in a weak reference's end.
    sys.unraisablehook = _heard_again
    try:
        main()
    finally:
        # What is left are threads and files that Python closes, where Ctrl-C would show where.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    os.write(2, f"becam: {STOPPED}\n".encode())
    os._exit(INTERRUPTED)


def _heard_again(unraisable: UnraisableHookArgs) -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    import _thread
    import threading

    threading.Timer(0.01, _thread.interrupt_main).start()


__all__ = ["main"]
