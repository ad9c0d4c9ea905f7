"""What models made of their rows: scores read as columns, classes of rows, rates, means and their resamples."""
