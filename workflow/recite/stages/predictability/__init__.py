"""Predictability: what is recited after unrelated contexts too was not memorized."""
