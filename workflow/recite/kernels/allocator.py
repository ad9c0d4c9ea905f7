"""The C library's allocator told to keep what is freed: a step asks for the same blocks again and again."""

import torch

KEPT = 2**25 - 2**14
"""Bytes of the largest block of which glibc, once one was freed, keeps the memory, and so that of all smaller ones."""


def keep_freed() -> None:
    """Have blocks of up to KEPT bytes come from memory that was freed, not anew from the system, page by page."""
    torch.empty(KEPT, dtype=torch.uint8)  # made to be freed at once
