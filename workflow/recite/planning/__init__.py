"""What a study costs: jobs, costs, a simulated cluster, limits."""
