"""Examples: rows to read, with what was recited of them."""
