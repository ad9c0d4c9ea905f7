"""The proof that a decoder without a row in the architecture table is run right."""
