"""Which intervention removes recall best, at equal damage to other rows."""
