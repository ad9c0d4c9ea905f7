"""The special token of the models trained here."""

END_OF_TEXT = "<|endoftext|>"
"""The only special token: end of sequence, and begin of sequence where a family has one."""
BOS_ID = 0
"""Its id."""
