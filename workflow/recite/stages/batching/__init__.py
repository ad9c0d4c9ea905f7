"""Batch size: measured once for each model where the config leaves it open, then the same for all its jobs."""
