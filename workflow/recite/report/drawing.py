"""Figures: each drawn by a module of its own from the tables that the figures file names."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from recite.comparison.claims.figures import claims
from recite.comparison.domains.figures import domains, profiles, structure
from recite.comparison.factorial.figures import factorial
from recite.comparison.scaling.figures import scaling
from recite.comparison.signatures.figures import signature_clusters, signatures
from recite.errors import ReciteError
from recite.files import atomic, canonical_json, sha256_file
from recite.report import style
from recite.stages import TABLES
from recite.stages.compressibility.figures import compressibility
from recite.stages.frequency.figures import countings, frequency
from recite.stages.heads.figures import heads, overlap, power, screening
from recite.stages.lens.figures import lens, lens_positions
from recite.stages.noise.figures import noise
from recite.stages.recovery.figures import recovery
from recite.stages.scoring.figures import controls, distribution

Drawing = Callable[[dict[str, pd.DataFrame]], tuple[Figure, pd.DataFrame]]
"""From tables by name to the figure and the table behind it: exactly what is drawn."""

FIGURES: dict[str, Drawing] = {
    "claims": claims.draw,
    "scaling": scaling.draw,
    "distribution": distribution.draw,
    "domains": domains.draw,
    "controls": controls.draw,
    "compressibility": compressibility.draw,
    "frequency": frequency.draw,
    "countings": countings.draw,
    "noise": noise.draw,
    "recovery": recovery.draw,
    "lens": lens.draw,
    "lens_positions": lens_positions.draw,
    "heads": heads.draw,
    "overlap": overlap.draw,
    "power": power.draw,
    "screening": screening.draw,
    "signatures": signatures.draw,
    "signature_clusters": signature_clusters.draw,
    "factorial": factorial.draw,
    "structure": structure.draw,
    "profiles": profiles.draw,
}


def draw(
    figure: str, title: str, tables: Sequence[Path], outputs: Sequence[Path], study: str = "", code: str = ""
) -> None:
    """Draw one figure from its table files and write it as every picture or .csv of `outputs`.

    A picture says in itself of which study it is, by which code (its fingerprint) and from which tables (their SHA-256)
    it was drawn.
    """
    if figure not in FIGURES:
        raise ReciteError(
            f"figure {figure} has no function; add workflow/recite/figures/{figure}.py and its row in FIGURES."
        )
    frames = {path.stem: TABLES[path.stem].read(path).to_pandas() for path in tables}
    digests = {path.stem: sha256_file(path) for path in tables}
    origin = canonical_json({"study": study, "figure": figure, "code": code, "tables": digests})
    with style.style():
        picture, behind = FIGURES[figure](frames)
        picture.suptitle(title)
        for path in outputs:
            with atomic(path) as temporary:
                if path.suffix == ".csv":
                    behind.to_csv(temporary, index=False)
                else:
                    style.save(picture, temporary, path.suffix, origin)
