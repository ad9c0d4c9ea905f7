"""Heads that are left when their place is known: what is found of the fifth, and what it takes, beside all of it.

`make bench-looks`: on the rows of the mini study as they are (make demo first), and on simulated studies of the paper's
size with their variances. Row by head passes are told beside the full count, in which each pair takes two.
"""

import argparse
from pathlib import Path

import numpy as np

from looks import Replay, held, many_heads, replay
from recite.catalogue import STAGES
from recite.outcomes.means import MEMORIZED
from recite.stages.heads.ablated import Group
from recite.stages.heads.summarize.importance import read_models
from recite.study.config import read_yaml
from recite.study.study import load_study

CONFIDENCE = 0.95
HEADS = 1024
EFFECTS = (1.0, 0.3, 0.1, 0.0)
"""Of a head, as a share of what it is in the mini study."""
REPLAYS = 100
"""Orders of the mini study's rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", default="config/mini.yaml")
    parser.add_argument("--studies", type=int, default=10, help="simulated studies of a line")
    parser.add_argument("--models", nargs="*", default=["pythia-l", "olmo2-l"])
    options = parser.parse_args()
    study = load_study(read_yaml(Path(options.configfile)), options.configfile, STAGES)
    results = Path(study.results)
    paths, drawn = ([results / path for path in study.files(rule)] for rule in ("ablation", "ablation_rows"))
    ablation = read_yaml(Path("config/paper.yaml"))["ablation"]
    print("recall of the fifth, row by head passes over those of two passes for every row and head")
    for about, group in read_models(paths, drawn, study.summary_options()):
        if about["model"] in options.models and group.name in ablation["classes"]:
            as_they_are(group)
            simulated(group, ablation["classes"][group.name], ablation["looks"], options.studies)


def as_they_are(group: Group) -> None:
    """The rows of all domains, as one, in random orders."""
    count = len(group.round)
    looks = [rows for rows in (20, 40, 80, 160, 320) if 1.2 * rows < count]
    units = np.unique(group.rows.frame.units, return_inverse=True)[1]
    found = []
    for seed in range(REPLAYS):
        order = np.random.default_rng(seed).permutation(count)
        hits = group.rows.hits[order] if group.name == MEMORIZED else None
        found.append(replay(hits, group.rows.log_probability[order], looks, units[order]))
    print(f"{group.rows.model}, {group.name}, {count} rows of the study: {_told(found, count)}; looks {looks}")


def simulated(group: Group, count: int, looks: list[int], studies: int) -> None:
    """Of the size of the paper's, with more heads and smaller effects, by the measure of the group."""
    drops = getattr(group.rows, group.measure).astype(float)
    for effect in EFFECTS:
        rng, found, holding, going = np.random.default_rng(1), [], [], []
        for _ in range(studies):
            study = many_heads(drops, HEADS, count, effect, rng)
            found.append(replay(None, study.drops, looks))
            holding.append(held(study, found[-1].rows, len(looks), CONFIDENCE))
            going.append([(found[-1].rows > seen).mean() for seen in looks])
        shares = ", ".join(f"{share:.2f}" for share in np.mean(going, axis=0))
        print(
            f"{group.rows.model}, {group.name}, {count} simulated rows, {HEADS} heads, effects x {effect}: "
            f"{_told(found, count)}; go on after {looks}: {shares}; intervals hold effects in "
            f"{100 * np.concatenate(holding).mean():.1f}%"
        )


def _told(found: list[Replay], count: int) -> str:
    recall, pairs = np.mean([one.recall for one in found]), np.mean([one.rows.mean() for one in found]) / count
    return f"recall {100 * recall:.1f}%, {pairs:.3f} of the pairs, {2 / pairs:.1f} x fewer passes than two for each"


if __name__ == "__main__":
    main()
