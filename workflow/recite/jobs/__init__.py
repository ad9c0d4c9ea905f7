"""How a job runs: the door, forks, logs, and what Snakemake and its plugin are spared."""
