"""What becam raises for anything a user can mend, and warns with."""


class BecamError(Exception):
    """A problem the user can act on.

    The message is one sentence that says what is wrong and names the way out. The CLI prints it
    and exits with status 1; no traceback is ever shown for it.
    """


class BecamWarning(UserWarning):
    """Something that stops nothing but that the user should know, in one sentence."""


class MissingFileError(BecamError):
    """A file that should be read is not there."""
