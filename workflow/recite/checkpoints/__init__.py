"""Checkpoints: architectures, inspection, loading, registration, training."""
