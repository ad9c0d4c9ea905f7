"""Recite: measure what language models memorize, and prove where each number came from."""
