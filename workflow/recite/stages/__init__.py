"""A folder a measurement."""
