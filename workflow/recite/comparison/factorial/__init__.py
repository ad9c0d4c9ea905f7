"""Factorial: how much of the variance of profiles over layers architecture and recipe explain, where a study crosses them."""
