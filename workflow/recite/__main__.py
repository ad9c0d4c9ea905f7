"""`python -m recite` is the command `recite`."""

from recite.cli import app

app(prog_name="recite")
