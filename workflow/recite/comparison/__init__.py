"""Across models: a folder a comparison."""
