"""Candidates, samples, controls and training rows."""
