"""Recovery from noise in words and numbers."""

import pandas as pd

from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    return [_recovery(tables["recovery"], tables["recovery_tests"])] if "recovery" in tables else []


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
