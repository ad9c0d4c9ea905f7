"""Extraction: how many draws from a model it takes to meet the true continuation."""
