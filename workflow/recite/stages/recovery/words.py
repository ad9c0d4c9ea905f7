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
    tests = tests[(tests["alpha"] == strongest) & (tests["measure"] == "growth")]
    tests = tests.set_index(["model", "noise_layer", "rows"])
    lines = ["## Recovery from noise\n"]
    lines.append(
        f"What the last layer leaves of noise of α = {strongest:g}: the size of the difference over that of the noise "
        "(below 1, noise was removed), in memorized rows - in unmemorized rows; and how much of the lost similarity is "
        "regained, beside what the growth of the stream alone would give back:\n"
    )
    columns = "model | layer | rows | size | interval | memorized | unmemorized | difference | interval | q"
    lines.append(f"| {columns} | regained | by growth alone |")
    lines.append("|---|---:|---|---:|---|---:|---:|---:|---|---:|---:|---:|")
    for (model, layer, rows), part in table.groupby(["model", "noise_layer", "rows"]):
        sizes = part.set_index("group")["growth"]
        whole = next(part[part["group"] == "all"].itertuples())
        found = [model, str(layer), rows, f"{whole.growth:.2f}", f"{whole.growth_low:.2f} to {whole.growth_high:.2f}"]
        found += [f"{sizes[group]:.2f}" if group in sizes else "–" for group in ("memorized", "unmemorized")]
        if (model, layer, rows) in tests.index:
            test = tests.loc[(model, layer, rows)]
            found += [f"{test['difference']:.2f}", f"{test['difference_low']:.2f} to {test['difference_high']:.2f}"]
            found += [cells.probability(test["q_value"])]
        else:
            found += ["–"] * 3
        alone = 1 - (1 - whole.baseline) * (1 - whole.regained) / (1 - whole.cosine)
        found += [cells.share(whole.regained), cells.share(alone)]
        lines.append(f"| {' | '.join(found)} |")
    return "\n".join(lines) + "\n"
