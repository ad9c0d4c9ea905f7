"""The study in words and numbers: a short Markdown page from the finished tables."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recite.files import atomic, read_json
from recite.outcomes import NATURAL
from recite.published import published_section
from recite.report_heads import heads_section, overlap_section, power_section
from recite.tables.aggregates import TABLES

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
    if "noise_rates" in frames:
        sections.append(_noise(frames["noise_rates"]))
    if "recovery" in frames:
        sections.append(_recovery(frames["recovery"], frames["recovery_tests"]))
    if "lens" in frames:
        sections.append(_lens(frames["lens"], frames["lens_profiles"]))
    if "heads" in frames:
        sections += [heads_section(frames["heads"]), overlap_section(frames["overlap"]), power_section(frames["power"])]
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
            f"| {row.model} | {row.parameters:,} | {_share(row.rate)} | {_interval(row)} "
            f"| {_share(row.between)} | {row.mean_score:.3f} |"
        )
        if len(planted):
            control = planted.loc[row.model]
            lines[-1] += f" {_share(control['rate'])} | {_interval(control)} |"
    return "\n".join(lines) + "\n"


def _controls(table: pd.DataFrame) -> str:
    counts = sorted(table["repetitions"].unique())
    lines = ["## Planted rows by repetition count\n", f"| model | {' | '.join(f'x{count}' for count in counts)} |"]
    lines.append("|---|" + "---:|" * len(counts))
    for (_, _, model), part in table.groupby(["family", "parameters", "model"]):
        rates = part.set_index("repetitions")["rate"]
        lines.append(f"| {model} | {' | '.join(_share(rates[count]) for count in counts)} |")
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
            f"| {_decimals(row.r_squared)} | {_probability(row.q_value)} |"
        )
    return "\n".join(lines) + "\n"


def _tests(table: pd.DataFrame) -> str:
    lines = [
        f"One slope for all {row.families} families, {row.rows} rows: F({row.df_between}, {row.df_residual}) = "
        f"{row.f:.2f}, p = {_probability(row.p_value)}.\n"
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
        f"| {row.rows} | {row.model} | {_share(row.observed)} | {_share(row.predicted)} "
        f"| {_between(row, 'predicted')} | {100 * row.difference:.1f} | {_between(row, 'difference')} |"
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
        f"| {row.model} | {_share(row.structural)} | {_share(row.free_text)} | {_share(row.adjusted)} "
        f"| {_between(row, 'adjusted')} | {_share(row.structural_share)} | {_between(row, 'structural_share')} "
        f"| {_probability(row.q_value)} |"
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
        f"| {row.model} | {row.n} | {row.distinct} | {_share(row.mean_ratio)} | {_between(row, 'mean_ratio')} "
        f"| {_share(row.short)} | {_between(row, 'short')} | {_share(row.non_monotone)} |"
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
        f"| {row.model} | {row.rows} | {row.distinct} | {_share(row.floor)} | {_count(row.threshold)} "
        f"| {_count(row.threshold_low)} to {_count(row.threshold_high)} | {_share(row.reached)} |"
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
        f"| {row.family} | {row.counting} | {row.measure} | {row.texts} | {_share(row.equal)} | {_share(row.missed)} "
        f"| {_within(row.bias, row.bias_low, row.bias_high)} "
        f"| {_within(row.correlation, row.correlation_low, row.correlation_high)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def _noise(table: pd.DataFrame) -> str:
    strengths = sorted(table["alpha"].unique())
    lines = ["## Under noise\n", f"| model | rows | {' | '.join(f'α = {alpha:g}' for alpha in strengths)} |"]
    lines.append("|---|---|" + "---:|" * len(strengths))
    kept = table[(table["domain"] == "natural") | (table["kind"] == "planted")]
    for (model, domain), part in kept.groupby(["model", "domain"]):
        rates = part.set_index("alpha")["rate"]
        lines.append(f"| {model} | {domain} | {' | '.join(_share(rates[alpha]) for alpha in strengths)} |")
    return "\n".join(lines) + "\n"


def _recovery(table: pd.DataFrame, tests: pd.DataFrame) -> str:
    strongest = table["alpha"].max()
    table = table[(table["alpha"] == strongest) & (table["depth"] == 1)]
    tests = tests[tests["alpha"] == strongest].set_index(["model", "rows"])
    lines = ["## Recovery from noise\n"]
    lines.append(f"Of the similarity that noise of α = {strongest:g} takes, recovered by the last layer:\n")
    lines.append("| model | rows | all | interval | memorized | unmemorized | difference (points) | interval | q |")
    lines.append("|---|---|---:|---|---:|---:|---:|---|---:|")
    for (model, rows), part in table.groupby(["model", "rows"]):
        shares = part.set_index("group")["recovered"]
        whole = next(part[part["group"] == "all"].itertuples())
        cells = [model, rows, _share(whole.recovered), _between(whole, "recovered")]
        cells += [_share(shares[group]) if group in shares else "–" for group in ("memorized", "unmemorized")]
        if (model, rows) in tests.index:
            test = tests.loc[(model, rows)]
            cells += [f"{100 * test['difference']:.1f}", _between(test, "difference"), _probability(test["q_value"])]
        else:
            cells += ["–"] * 3
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _lens(table: pd.DataFrame, pairs: pd.DataFrame) -> str:
    table = table[(table["rows"] == NATURAL) & table["group"].isin(["memorized", "unmemorized"])]
    lines = ["## Layer decoding\n", "What the layers say of the true continuation, natural rows; layers from 1:\n"]
    lines.append("| model | class | rows | texts | 50% after | last layer | interval | entropy | half depth agrees |")
    lines.append("|---|---|---:|---:|---:|---:|---|---:|---:|")
    for (model, group), part in table.groupby(["model", "group"]):
        part = part.sort_values("layer")
        last, middle = (next(part.iloc[[place]].itertuples()) for place in (-1, (len(part) - 1) // 2))
        passed = part.loc[part["probability"] > 0.5, "layer"]
        layer = f"{passed.iloc[0] + 1} of {len(part)}" if len(passed) else "–"
        lines.append(
            f"| {model} | {group} | {last.n} | {last.distinct} | {layer} | {_share(last.probability)} "
            f"| {_between(last, 'probability')} | {last.entropy:.2f} | {_share(middle.agrees)} |"
        )
    return "\n".join(lines) + "\n" + _alike(pairs)


def _alike(pairs: pd.DataFrame) -> str:
    apart = pairs[(pairs["family_a"] != pairs["family_b"]) & pairs["similarity"].notna()]
    if apart.empty:
        return ""
    return (
        f"\nMean correlation over depth of the true token's probability in memorized rows, {len(apart)} pairs of two "
        f"families: {apart['similarity'].mean():.3f}; lowest {apart['similarity'].min():.3f}.\n"
    )


def _decimals(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _within(value: float, low: float, high: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _count(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "not reached"


def _share(rate: float) -> str:
    return f"{100 * rate:.1f}%"


def _probability(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _between(row: object, name: str) -> str:
    return f"{100 * getattr(row, f'{name}_low'):.1f} to {100 * getattr(row, f'{name}_high'):.1f}"


def _interval(row: object) -> str:
    return f"{100 * row.rate_low:.1f} to {100 * row.rate_high:.1f}"  # type: ignore[attr-defined]
