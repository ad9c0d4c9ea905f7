"""The door to the library for every rule: its function, named by the param `run`, does the job."""

from recite.jobs.door import work

work(snakemake)
