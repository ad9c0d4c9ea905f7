"""Factorial: what architecture and recipe explain of profiles over layers, where a study crosses them."""
