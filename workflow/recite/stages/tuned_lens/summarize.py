"""From layers decoded by both lenses to what each layer knows, and where in depth it is known, by class of rows.

Both lenses are summed up over the same rows, those that no translator was trained on, and under the same resamples, so
that a difference of the two is one of pairs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.outcomes.means import FEWEST, MEMORIZED, UNMEMORIZED, layer_lines
from recite.outcomes.rates import who
from recite.outcomes.rows import Outcomes, files_by_model, one_table, read_outcomes
from recite.outcomes.sums import Block, read_blocks
from recite.stages.lens.rows import DECODED
from recite.stages.lens.summarize import NAMES, THRESHOLDS, Profile, crossings, group_statistics
from recite.stages.scoring.rows import SCORES
from recite.stages.tuned_lens.rows import TRANSLATED, TRANSLATION
from recite.stages.tuned_lens.tables import TUNED_LENS, TUNED_LENS_DEPTHS, TUNED_LENS_TRAINING
from recite.statistics.intervals import with_ends
from recite.tables import read_metadata

LOGIT, TUNED = "logit", "tuned"
Line = dict[str, Any]
Profiles = dict[tuple[str, str], Profile]
"""(natural or planted, class) -> the true token's probability by layer."""


def aggregate_tuned_lens(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    lens: Sequence[Path],
    translated: Sequence[Path],
    training: Sequence[Path],
    outputs: Mapping[str, Path],
) -> None:
    """Write the tables tuned_lens, tuned_lens_depths and tuned_lens_training.

    `scores` make the classes, `lens` are rows decoded by the plain lens, `translated` those by the tuned one and
    `training` what its translators gained, of the same models. One model's rows are in memory at a time.
    """
    clean, plain = files_by_model(scores), files_by_model(lens)
    gained = {read_metadata(path)["options"]["model"]: path for path in training}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for key, paths in files_by_model(translated).items():
        measured = one_table(TRANSLATED.read(path, ["row_id", "domain"]) for path in paths)
        outcomes = read_outcomes(clean[key], SCORES, options)
        outcomes = outcomes.part(np.isin(outcomes.frame.row_ids, measured["row_id"].to_numpy()))
        both: dict[str, Profiles] = {}
        layers = read_metadata(paths[0])["layers"]
        for name, table, files in ((LOGIT, DECODED, plain[key]), (TUNED, TRANSLATED, paths)):
            blocks = read_blocks(table, files, NAMES, outcomes, more=name == LOGIT)
            found, both[name] = lens_lines(blocks, outcomes, layers, options)
            lines["tuned_lens"] += [{"lens": name} | line for line in found]
        lines["tuned_lens_depths"] += depth_lines(both[LOGIT], both[TUNED], options["confidence"])
        lines["tuned_lens_training"] += training_lines(outcomes, gained[key.model])
    for declared in (TUNED_LENS, TUNED_LENS_DEPTHS, TUNED_LENS_TRAINING):
        declared.write_lines(outputs[declared.name], lines[declared.name], {"options": dict(options)})


def lens_lines(
    blocks: Iterable[Block], outcomes: Outcomes, layers: int, options: Mapping[str, Any]
) -> tuple[list[Line], Profiles]:
    """Lines of the table tuned_lens by one lens, and the profiles of classes that have texts enough."""
    lines: list[Line] = []
    profiles: Profiles = {}
    depths = (np.arange(layers) + 1) / layers
    for about, statistics in group_statistics(blocks, outcomes, options):
        for layer, line in enumerate(layer_lines(statistics, options["confidence"])):
            lines.append(who(outcomes) | about | {"layer": layer, "depth": depths[layer]} | line)
        if about["group"] in (MEMORIZED, UNMEMORIZED) and about["distinct"] >= FEWEST:
            found = Profile(who(outcomes), about["distinct"], depths, statistics["probability"])
            profiles[about["rows"], about["group"]] = found
    return lines, profiles


def depth_lines(plain: Profiles, tuned: Profiles, confidence: float) -> Iterator[Line]:
    """Lines of the table tuned_lens_depths of one model."""
    for (rows, group), one in plain.items():
        pair = crossings(one), crossings(tuned[rows, group])
        about = one.who | {"rows": rows, "group": group, "distinct": one.distinct}
        for threshold, logit, other in zip(THRESHOLDS, *(values.T for values in pair), strict=True):
            line = about | {"threshold": threshold}
            for name, values in ((LOGIT, logit), (TUNED, other), ("difference", other - logit)):
                line |= with_ends(name, values, confidence)
            yield line


def training_lines(outcomes: Outcomes, training: Path) -> Iterator[Line]:
    """Lines of the table tuned_lens_training of one model."""
    made = read_metadata(training)
    counts = {"trained_rows": made["rows"], "checked_rows": made["checked_rows"], "measured_rows": len(outcomes.hits)}
    for line in TRANSLATION.read(training).to_pylist():
        yield who(outcomes) | counts | line
