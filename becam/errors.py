"""The one exception that becam raises for anything a user can mend."""


class BecamError(Exception):
    """A problem the user can act on.

    The message is one sentence that says what is wrong and names the way out. The CLI prints it
    and exits with status 1; no traceback is ever shown for it.
    """
