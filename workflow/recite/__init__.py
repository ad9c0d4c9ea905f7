"""Recite: measure what language models memorize, and prove where each number came from."""

__version__ = "0.1.0"
