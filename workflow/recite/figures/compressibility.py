"""How much of their contexts memorized rows need: over all lengths, and by domain."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.figures import style

DODGE = 0.008
"""How far apart, in units of the ratio, the intervals at half the context stand."""
FEWEST = 5
"""Distinct texts that an interval over texts needs to be drawn."""
MODEL = ["model", "family", "parameters"]


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Above a curve per model, the largest of each family thick; below a line per domain and a point per family."""
    ratios = tables["compressibility"]
    lengths = tables["suffix_lengths"]
    lengths = lengths.assign(cumulative=lengths.groupby("model")["shortest"].cumsum() / lengths["n"], domain="natural")
    if ratios.empty:
        return style.blank("No model recites a row whole."), ratios
    largest = style.largest(ratios)
    natural, by_domain = largest[largest["domain"] == "natural"], largest[largest["domain"] != "natural"]
    kinds = by_domain.drop_duplicates("domain").sort_values(["kind", "domain"], ascending=[False, True])
    places = {domain: place for place, domain in enumerate(kinds["domain"])}
    heights = [3.4, 0.5 * len(places) + 0.6]
    figure, (above, below) = plt.subplots(2, 1, figsize=(7.2, sum(heights) + 1.2), height_ratios=heights)
    families = style.families(ratios)
    colours = style.colours(families)
    for index, (family, marker) in enumerate(zip(families, style.MARKERS, strict=False)):
        shift = index - (len(families) - 1) / 2
        colour = colours[family]
        _curves(above, lengths[lengths["family"] == family], natural[natural["family"] == family], colour, shift, marker)
        part = by_domain[by_domain["family"] == family]
        _ratios(below, part["domain"].map(places) + 0.11 * shift, part, colour, marker)
    _axes(above, below, natural, by_domain)
    labels = [
        f"{style.name(kind)}: {style.name(domain)}" if kind != "planted" else "planted control rows"
        for domain, kind in zip(kinds["domain"], kinds["kind"], strict=True)
    ]
    below.set_yticks(range(len(places)), labels)
    below.invert_yaxis()
    figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    shown = lengths[[*MODEL, "domain", "length", "ratio", "n", "cumulative"]]
    return figure, pd.concat([shown, by_domain], ignore_index=True)
