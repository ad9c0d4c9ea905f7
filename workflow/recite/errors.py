"""The one exception that users are meant to read."""


class ReciteError(Exception):
    """Bad input or a broken file.

    The message is one clear sentence: which file, row or key, what is wrong, what to do.
    Doors print it without a traceback and exit with status 1.
    """
