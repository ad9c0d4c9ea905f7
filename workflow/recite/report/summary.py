"""The study in words and numbers: a short Markdown page from the finished tables."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recite.comparison.published.words import published_section
from recite.files import atomic, read_json
from recite.outcomes.rows import NATURAL
from recite.report import cells as cells
from recite.stages import TABLES
from recite.stages.recovery import words as report_internal

SEEN = 0.05
"""The q-value below which a difference is called one."""


def write_summary(
    study: str, published: Sequence[Mapping[str, Any]], tables: Sequence[Path], manifest: Path | None, summary: Path
) -> None:
    """Write the page from table files named after their tables, and the manifest of a corpus that was made here.

    `published` are the paper's numbers, the entries of config/published.yaml.
    """
    frames = {path.stem: TABLES[path.stem].read(path).to_pandas() for path in tables}
    corpus = read_json(manifest) if manifest else None
    sections = [f"# Study {study}\n", _overview(frames["rates"], corpus), _claims(frames["claims"])]
    sections.append(_rates(frames["rates"]))
    sections += [_controls(frames["control_rates"])] if "control_rates" in frames else []
    sections += [_scaling(frames["scaling"]), _tests(frames["slope_tests"]), _predictions(frames["predictions"])]
    sections += [_kinds(frames["kinds"]), _profiles(frames["profiles"]), _samples(frames["disjoint_samples"])]
    if "compressibility" in frames:
        sections.append(_compressibility(frames["compressibility"]))
    if "thresholds" in frames:
        sections += [_thresholds(frames["thresholds"]), _countings(frames["countings"])]
    sections += report_internal.sections(frames)
    sections.append(published_section(published, frames))
    with atomic(summary) as temporary:
        temporary.write_text("\n".join(section for section in sections if section))


def _overview(rates: pd.DataFrame, corpus: dict | None) -> str:
    natural = rates[rates["domain"] == "natural"]
    low, high = natural["parameters"].min(), natural["parameters"].max()
    scored = rates[rates["kind"].isin(["mixed", "planted"])]
    return (
        f"{len(natural)} models of {natural['family'].nunique()} families, {low:,} to {high:,} parameters"
        f"{_trained_on(corpus) if corpus else ''}; {natural['n'].min()} natural rows of {natural['distinct'].min()} "
        f"or more distinct texts scored per model. A row is memorized when the greedy continuation "
        f"of its context equals the corpus (at the default threshold). At most "
        f"{100 * scored['at_risk'].max():.2f}% of a model's natural or planted rows have a "
        "logit margin under the precision's noise.\n"
    )


def _trained_on(corpus: dict) -> str:
    documents = sum(source["documents"] for source in corpus["sources"].values())
    return (
        f", trained on {documents} natural documents of {len(corpus['sources'])} domains and {corpus['controls']} "
        "planted control texts"
    )


def _claims(table: pd.DataFrame) -> str:
    lines = ["## The paper's claims\n", "| claim | statistic | value | interval | rule | verdict |"]
    lines.append("|---|---|---:|---|---|---|")
    for row in table.itertuples():
        numbers = "– | –" if math.isnan(row.value) else f"{row.value:.3g} | {row.low:.3g} to {row.high:.3g}"
        linked = f"[{row.text}](figures/{row.figure}.png)"
        lines.append(f"| {linked} | {row.statistic} | {numbers} | {row.rule} | {row.verdict} |")
    return "\n".join(lines) + "\n"


def _rates(rates: pd.DataFrame) -> str:
    planted = rates[rates["kind"] == "planted"].set_index("model")
    lines = ["## Memorization rates\n"]
    lines.append("| model | parameters | natural rows | interval | in between | mean score |")
    lines.append("|---|---:|---:|---|---:|---:|")
    if len(planted):
        lines[-2] += " planted rows | interval |"
        lines[-1] += "---:|---|"
    natural = rates[rates["domain"] == "natural"].sort_values(["family", "parameters"])
    for row in natural.itertuples():
        lines.append(
            f"| {row.model} | {row.parameters:,} | {cells.share(row.rate)} | {cells.interval(row)} "
            f"| {cells.share(row.between)} | {row.mean_score:.3f} |"
        )
        if len(planted):
            control = planted.loc[row.model]
            lines[-1] += f" {cells.share(control['rate'])} | {cells.interval(control)} |"
    return "\n".join(lines) + "\n"


def _controls(table: pd.DataFrame) -> str:
    counts = sorted(table["repetitions"].unique())
    lines = ["## Planted rows by repetition count\n", f"| model | {' | '.join(f'x{count}' for count in counts)} |"]
    lines.append("|---|" + "---:|" * len(counts))
    for (_, _, model), part in table.groupby(["family", "parameters", "model"]):
        rates = part.set_index("repetitions")["rate"]
        lines.append(f"| {model} | {' | '.join(cells.share(rates[count]) for count in counts)} |")
    return "\n".join(lines) + "\n"


def _scaling(table: pd.DataFrame) -> str:
    lines = [
        "## Rate against log10(parameters)\n",
        "| rows | family | models | slope (points per tenfold size) | interval | R² | q |",
    ]
    lines.append("|---|---|---:|---:|---|---:|---:|")
    for row in table.sort_values(["rows", "family"]).itertuples():
        interval = f"{100 * row.slope_low:.1f} to {100 * row.slope_high:.1f}"
        lines.append(
            f"| {row.rows} | {row.family} | {row.models} | {100 * row.slope:.1f} | {interval} "
            f"| {cells.decimals(row.r_squared)} | {cells.probability(row.q_value)} |"
        )
    return "\n".join(lines) + "\n"


def _tests(table: pd.DataFrame) -> str:
    lines = [
        f"One slope for all {row.families} families, {row.rows} rows: F({row.df_between}, {row.df_residual}) = "
        f"{row.f:.2f}, p = {cells.probability(row.p_value)}.\n"
        for row in table.itertuples()
    ]
    return "\n".join(lines)


def _predictions(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = ["The largest model of a family from the line through its smaller ones:\n"]
    lines.append("| rows | model | observed | predicted | interval | difference (points) | interval |")
    lines.append("|---|---|---:|---:|---|---:|---|")
    lines += [
        f"| {row.rows} | {row.model} | {cells.share(row.observed)} | {cells.share(row.predicted)} "
        f"| {cells.between(row, 'predicted')} | {100 * row.difference:.1f} | {cells.between(row, 'difference')} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def _kinds(table: pd.DataFrame) -> str:
    table = table[(table["alpha"] == 0) & (table["memorized"] > 0)]
    if table.empty:
        return ""
    lines = ["## Structural and free text\n"]
    lines.append("| model | structural | free text | half and half | interval | structural share | interval | q |")
    lines.append("|---|---:|---:|---:|---|---:|---|---:|")
    lines += [
        f"| {row.model} | {cells.share(row.structural)} | {cells.share(row.free_text)} | {cells.share(row.adjusted)} "
        f"| {cells.between(row, 'adjusted')} | {cells.share(row.structural_share)} "
        f"| {cells.between(row, 'structural_share')} | {cells.probability(row.q_value)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def _profiles(table: pd.DataFrame) -> str:
    table = table[table["similarity"].notna()]
    if table.empty:
        return ""
    within = table["family_a"] == table["family_b"]
    parts = [(name, table[chosen]) for name, chosen in (("one family", within), ("two families", ~within))]
    found = [f"{part['similarity'].mean():.2f} over {len(part)} pairs of {name}" for name, part in parts if len(part)]
    return f"Mean correlation of two models' rates by domain: {', '.join(found)}.\n"


def _samples(table: pd.DataFrame) -> str:
    return (
        f"Of {len(table)} samples of a model and a domain, cut into two without a common text, "
        f"{int((table['q_value'] < SEEN).sum())} have different rates (q < {SEEN}).\n"
    )


def _compressibility(table: pd.DataFrame) -> str:
    table = table[table["domain"] == NATURAL]
    if table.empty:
        return ""
    lines = ["## Compressibility\n", "Natural rows that are recited whole, and how much of their contexts they need:\n"]
    lines.append("| model | rows | texts | mean ratio | interval | half suffices | interval | not monotone |")
    lines.append("|---|---:|---:|---:|---|---:|---|---:|")
    lines += [
        f"| {row.model} | {row.n} | {row.distinct} | {cells.share(row.mean_ratio)} "
        f"| {cells.between(row, 'mean_ratio')} | {cells.share(row.short)} | {cells.between(row, 'short')} "
        f"| {cells.share(row.non_monotone)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def _thresholds(table: pd.DataFrame) -> str:
    table = table[(table["measure"] == "sequence") & (table["counting"] == table["counting"].iloc[0])]
    lines = [
        "## Corpus frequency\n",
        f"Count of the sequence, by {table['counting'].iloc[0]}, at which the rate has left its floor:\n",
    ]
    lines.append("| model | rows | texts | floor | threshold | interval | resamples that reach it |")
    lines.append("|---|---|---:|---:|---:|---|---:|")
    lines += [
        f"| {row.model} | {row.rows} | {row.distinct} | {cells.share(row.floor)} | {cells.count(row.threshold)} "
        f"| {cells.count(row.threshold_low)} to {cells.count(row.threshold_high)} | {cells.share(row.reached)} |"
        for row in table.sort_values(["rows", "family", "parameters"]).itertuples()
    ]
    return "\n".join(lines) + "\n"


def _countings(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = [f"The same texts counted otherwise than by {table['reference'].iloc[0]}:\n"]
    lines.append("| family | counted by | span | texts | equal | not found | bias (octaves) | rank correlation |")
    lines.append("|---|---|---|---:|---:|---:|---|---|")
    lines += [
        f"| {row.family} | {row.counting} | {row.measure} | {row.texts} | {cells.share(row.equal)} "
        f"| {cells.share(row.missed)} | {cells.within(row.bias, row.bias_low, row.bias_high)} "
        f"| {cells.within(row.correlation, row.correlation_low, row.correlation_high)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"
