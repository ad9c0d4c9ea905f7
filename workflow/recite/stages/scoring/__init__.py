"""Scoring: the memorization score of every sampled row under every model, and the rates that follow."""
