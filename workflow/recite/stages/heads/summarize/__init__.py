"""What sums up its rows."""
