"""From scores to the tables behind the figures: rates with intervals, distributions, fits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recite.errors import ReciteError
from recite.statistics import effective_rows, fit_rates, wilson
from recite.tables import Table, read_metadata
from recite.tables.aggregates import CONTROL_RATES, DISTRIBUTION, NOISE_RATES, RATES, SCALING
from recite.tables.samples import SAMPLES
from recite.tables.scores import NOISE_SCORES, SCORES
from recite.tables.training import CONTROLS

NATURAL = "natural"
"""Name of the union of all domains that are not planted."""
MODEL = ["model", "family", "parameters"]


def aggregate_scores(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    tables: Mapping[str, Path],
) -> None:
    """Write the tables rates, distribution and scaling from the models' scores, and control_rates of planted rows.

    `scores` are parts of the scores table, each naming its model; `planted` the sample shards of the
    planted domains, which tie rows to documents; `controls` the known repetition counts, if texts are planted.
    """
    rows = read_scores(scores, SCORES, options)
    natural, control = rows[rows["kind"] != "planted"], rows[rows["kind"] == "planted"]
    note = {"options": dict(options)}
    if controls:
        planted_rows = len(control)
        control = control.merge(_repetitions(planted, controls), on="row_id", validate="many_to_one")
        if len(control) < planted_rows:
            raise ReciteError("scores hold planted rows that no sample holds; delete the scores and run again.")
        by_count = summarize(control, [*MODEL, "repetitions"], options)
        CONTROL_RATES.write(tables["control_rates"], _columns(by_count[CONTROL_RATES.names]), note)
    RATES.write(tables["rates"], _columns(rate_table(rows, options)), note)
    DISTRIBUTION.write(tables["distribution"], _columns(distribution_table(natural)), note)
    SCALING.write(tables["scaling"], _columns(scaling_table(natural, control, options)), note)


def aggregate_noise(options: Mapping[str, Any], scores: Sequence[Path], noisy: Sequence[Path], rates: Path) -> None:
    """Write the noise_rates table: the disturbed models' rates at every strength, zero included.

    `scores` are the undisturbed scores of the same models; they are the rates at strength zero.
    """
    clean = read_scores(scores, SCORES, options).assign(alpha=0.0)
    disturbed = [read_scores(noisy, NOISE_SCORES, options)] if noisy else []
    rows = pd.concat([clean, *disturbed], ignore_index=True)
    table = _with_natural(rows, [*MODEL, "alpha"], options)
    NOISE_RATES.write(rates, _columns(table[NOISE_RATES.names]), {"options": dict(options)})


def read_scores(paths: Sequence[Path], table: Table, options: Mapping[str, Any]) -> pd.DataFrame:
    """Scores with their model, family, parameters and kind of domain; ReciteError if models are mixed up."""
    parts = []
    for path in paths:
        names = [name for name in table.names if name != "generated"]
        part = table.read(path, names)
        made = read_metadata(path)
        frame = part.to_pandas()
        frame["domain"] = frame["domain"].astype(str)
        frame = frame.assign(
            model=made["options"]["model"],
            family=made["options"]["family"],
            parameters=made["parameters"],
            steps=made["continuation_tokens"],
            at_risk=frame["margin"] < options["margin_tolerance"][made["dtype"]],
        )
        parts.append(frame)
    rows = pd.concat(parts, ignore_index=True)
    unknown = set(rows["domain"]) - set(options["kinds"])
    if unknown:
        raise ReciteError(f"scores hold rows of domain {sorted(unknown)[0]}, which the study does not sample.")
    models = rows[[*MODEL, "steps"]].drop_duplicates()
    if models["model"].duplicated().any():
        mixed = models["model"][models["model"].duplicated()].iloc[0]
        raise ReciteError(f"scores of {mixed} come from different models of that name; delete them and run again.")
    rows["kind"] = rows["domain"].map(options["kinds"])
    return rows


def rate_table(rows: pd.DataFrame, options: Mapping[str, Any]) -> pd.DataFrame:
    """Columns of the rates table: every model by domain and over all natural domains."""
    return _with_natural(rows, MODEL, options)[RATES.names]


def _with_natural(rows: pd.DataFrame, keys: list[str], options: Mapping[str, Any]) -> pd.DataFrame:
    together = rows[rows["kind"] != "planted"].assign(domain=NATURAL, kind="mixed")
    return pd.concat(
        [summarize(part, [*keys, "domain", "kind"], options) for part in (rows, together)], ignore_index=True
    )


def summarize(rows: pd.DataFrame, keys: list[str], options: Mapping[str, Any]) -> pd.DataFrame:
    """One line per group of `keys`: counts, the memorization rate with its Wilson interval, the mean score."""
    score = _score(rows)
    marked = rows.assign(
        memorized=score >= options["memorized"],
        half=score == options["half"],
        unmemorized=score <= options["unmemorized"],
        between=(score > options["unmemorized"]) & (score < options["memorized"]),
        score=score,
    )
    groups = marked.groupby(keys, as_index=False, sort=True, observed=True)
    table = groups.agg(
        n=("hits", "size"),
        distinct=("sequence_id", "nunique"),
        memorized=("memorized", "sum"),
        half=("half", "sum"),
        unmemorized=("unmemorized", "sum"),
        mean_score=("score", "mean"),
        between=("between", "mean"),
        at_risk=("at_risk", "mean"),
    )
    table["rate"] = table["memorized"] / table["n"]
    effective = [
        effective_rows(part["memorized"].to_numpy(float), part["sequence_id"].to_numpy()) for _, part in groups
    ]
    intervals = [wilson(rate, n, options["confidence"]) for rate, n in zip(table["rate"], effective, strict=True)]
    return table.assign(
        effective_n=effective, rate_low=[i.low for i in intervals], rate_high=[i.high for i in intervals]
    )


def _score(rows: pd.DataFrame) -> pd.Series:
    """M: the share of the continuation's tokens that are hit."""
    return rows["hits"] / rows["steps"]


def distribution_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Columns of the distribution table: rows of each model by number of hits, empty counts included."""
    steps = int(rows["steps"].max())
    counts = rows.groupby([*MODEL, "hits"], observed=True).size()
    models = rows[MODEL].drop_duplicates().sort_values("model")
    table = models.merge(pd.DataFrame({"hits": range(steps + 1)}), how="cross")
    table["n"] = counts.reindex(pd.MultiIndex.from_frame(table), fill_value=0).to_numpy()
    return table.assign(share=table["n"] / table.groupby("model")["n"].transform("sum"))


def scaling_table(natural: pd.DataFrame, control: pd.DataFrame, options: Mapping[str, Any]) -> pd.DataFrame:
    """Columns of the scaling table: a line per family with two sizes or more, and one through all models."""
    lines = []
    for name, rows in ((NATURAL, natural), ("control", control)):
        groups = [(family, part) for family, part in rows.groupby("family") if part["parameters"].nunique() > 1]
        if rows["family"].nunique() > 1 and rows["parameters"].nunique() > 1:
            groups.append(("pooled", rows))
        for family, part in groups:
            recited = part.assign(memorized=_score(part) >= options["memorized"])
            outcomes = recited.pivot(index="row_id", columns=["parameters", "model"], values="memorized")
            outcomes = outcomes.sort_index(axis=1).astype(float)
            # Tokenizers differ, so a row's text bears the name that its first family gives it.
            texts = part.sort_values("family").groupby("row_id")["sequence_id"].first()
            line = fit_rates(
                np.log10(outcomes.columns.get_level_values("parameters").to_numpy(float)),
                outcomes.to_numpy(),
                texts.loc[outcomes.index].to_numpy(),
                options["confidence"],
                options["resamples"],
                options["seed"],
            )
            lines.append({"family": family, "rows": name, "models": outcomes.shape[1], **line._asdict()})
    return pd.DataFrame(lines, columns=SCALING.names)


def _repetitions(planted: Sequence[Path], controls: Path) -> pd.DataFrame:
    """row_id -> known repetition count of every planted row."""
    documents = pa.concat_tables([SAMPLES.read(path, ["row_id", "document_id"]) for path in planted]).to_pandas()
    counts = CONTROLS.read(controls).to_pandas()
    joined = documents.drop_duplicates().merge(counts, on="document_id", how="left")
    lost = joined[joined["repetitions"].isna()]
    if len(lost):
        raise ReciteError(
            f"{controls} does not list planted document {lost['document_id'].iloc[0]}; make the corpus again."
        )
    return joined[["row_id", "repetitions"]]


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    return {str(name): frame[name].to_numpy() for name in frame.columns}
