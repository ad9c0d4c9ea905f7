"""Claims: those of the paper, each with its statistic, interval and verdict."""
