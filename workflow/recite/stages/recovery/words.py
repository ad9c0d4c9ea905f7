"""The internal level in words and numbers: sections of the summary."""

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from recite.outcomes.rows import NATURAL
from recite.report import cells as cells
from recite.stages.heads.words import heads_section, overlap_section, power_section, screening_section


def sections(frames: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """The sections whose tables there are."""
    if "noise_rates" in frames:
        yield _noise(frames["noise_rates"])
    if "recovery" in frames:
        yield _recovery(frames["recovery"], frames["recovery_tests"])
    if "lens" in frames:
        yield _lens(frames["lens"], frames["lens_profiles"])
    if "heads" in frames:
        yield heads_section(frames["heads"])
        yield screening_section(frames["screening"]) if "screening" in frames else ""
        yield overlap_section(frames["overlap"])
        yield power_section(frames["power"])
    if "signature_tests" in frames:
        yield _signatures(frames["signature_tests"])
    if "factorial" in frames:
        yield _factorial(frames["factorial"])


def _noise(table: pd.DataFrame) -> str:
    strengths = sorted(table["alpha"].unique())
    lines = ["## Under noise\n", f"| model | layer | rows | {' | '.join(f'α = {alpha:g}' for alpha in strengths)} |"]
    lines.append("|---|---:|---|" + "---:|" * len(strengths))
    kept = table[(table["domain"] == "natural") | (table["kind"] == "planted")]
    for (model, layer, domain), part in kept.groupby(["model", "noise_layer", "domain"]):
        rates = part.set_index("alpha")["rate"]
        found = " | ".join(cells.share(rates[alpha]) for alpha in strengths)
        lines.append(f"| {model} | {layer} | {domain} | {found} |")
    return "\n".join(lines) + "\n"


def _recovery(table: pd.DataFrame, tests: pd.DataFrame) -> str:
    strongest = table["alpha"].max()
    table = table[(table["alpha"] == strongest) & (table["depth"] == 1)]
    tests = tests[tests["alpha"] == strongest].set_index(["model", "noise_layer", "rows"])
    lines = ["## Recovery from noise\n"]
    lines.append(f"Of the similarity that noise of α = {strongest:g} takes, recovered by the last layer:\n")
    columns = "model | layer | rows | all | interval | memorized | unmemorized | difference (points) | interval | q"
    lines.append(f"| {columns} |")
    lines.append("|---|---:|---|---:|---|---:|---:|---:|---|---:|")
    for (model, layer, rows), part in table.groupby(["model", "noise_layer", "rows"]):
        shares = part.set_index("group")["recovered"]
        whole = next(part[part["group"] == "all"].itertuples())
        found = [model, str(layer), rows, cells.share(whole.recovered), cells.between(whole, "recovered")]
        found += [cells.share(shares[group]) if group in shares else "–" for group in ("memorized", "unmemorized")]
        if (model, layer, rows) in tests.index:
            test = tests.loc[(model, layer, rows)]
            found += [f"{100 * test['difference']:.1f}", cells.between(test, "difference")]
            found += [cells.probability(test["q_value"])]
        else:
            found += ["–"] * 3
        lines.append(f"| {' | '.join(found)} |")
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
            f"| {model} | {group} | {last.n} | {last.distinct} | {layer} | {cells.share(last.probability)} "
            f"| {cells.between(last, 'probability')} | {last.entropy:.2f} | {cells.share(middle.agrees)} |"
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


def _signatures(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = [
        "## Family signatures\n",
        "Correlation of two models' profiles over layers, and whether it tells the family:\n",
    ]
    lines.append(
        "| measure | models | families | within | between | q | nearest is of the family | interval | chance | p |"
    )
    lines.append("|---|---:|---:|---:|---:|---:|---:|---|---:|---:|")
    lines += [
        f"| {row.measure} | {row.models} | {row.families} | {row.within:.2f} | {row.between:.2f} "
        f"| {cells.probability(row.q_value)} | {row.identified} of {row.asked} | {cells.between(row, 'accuracy')} "
        f"| {cells.share(row.chance)} | {cells.probability(row.accuracy_p_value)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def _factorial(table: pd.DataFrame) -> str:
    lines = ["## Recipe or architecture\n", "Share of the variance of profiles over layers, beyond chance:\n"]
    lines.append("| measure | factor | models | share | interval | p |")
    lines.append("|---|---|---:|---:|---|---:|")
    lines += [
        f"| {row.measure} | {row.factor} | {row.models} | {cells.share(row.share)} | {cells.between(row, 'share')} "
        f"| {'–' if math.isnan(row.p_value) else cells.probability(row.p_value)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"
