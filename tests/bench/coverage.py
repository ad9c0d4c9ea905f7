"""How often the 95% intervals of the pipeline hold the truth, in simulated studies of a known population.

make bench-coverage        1,000 studies a cell, a quarter of an hour on two cores
"""

import argparse
from concurrent.futures import ProcessPoolExecutor

from coverage_studies import coverage

CELLS = (
    ("corpus", 200, 0.25),
    ("corpus", 200, 0.75),
    ("corpus", 800, 0.25),
    ("texts", 200, 0.0),
    ("texts", 800, 0.0),
)
"""Estimand, units drawn of each of six domains, and which share of all that is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="studies of each cell")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.workers) as pool:
        jobs = [pool.submit(coverage, *cell, arguments.studies) for cell in CELLS]
        found = [job.result() for job in jobs]
    words = [f"{estimand}, {units}" + (f" ({share:.0%} of all)" if share else "") for estimand, units, share in CELLS]
    print(f"| statistic | {' | '.join(words)} |")
    print("|---|" + "---:|" * len(CELLS))
    for name in found[0]:
        print(f"| {name} | {' | '.join(f'{100 * held[name]:.1f}%' for held in found)} |")
    error = 100 * (0.95 * 0.05 / arguments.studies) ** 0.5
    print(f"\n{arguments.studies} studies each; one standard error is {error:.1f} points.")


if __name__ == "__main__":
    main()
