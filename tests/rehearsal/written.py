"""Where a planted table lies, and what it says of its making: as the job that it stands for would."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recite.study.study import Study
from recite.tables import Table
from rehearsal.planted import STEPS, Planted


@dataclass(frozen=True)
class Written:
    """The files of one model of a study, in a folder."""

    study: Study
    folder: Path
    model: str

    @property
    def planted(self) -> Planted:
        return Planted(self.study, self.model)

    def path(self, rule: str, output: str, **wildcards: str) -> Path:
        return self.folder / self.study.file(rule, output, self._all(wildcards))

    def inputs(self, rule: str, name: str, **wildcards: str) -> list[Path]:
        """Some inputs of a job."""
        found = self.study.rules[rule].inputs(self.study, self._all(wildcards))[name]
        return [self.folder / path for path in ([found] if isinstance(found, str) else found)]

    def options(self, rule: str, **wildcards: str) -> dict[str, Any]:
        return self.study.rules[rule].options(self.study, self._all(wildcards))

    def write(
        self, table: Table, rule: str, output: str, columns: Mapping[str, Any], about: Mapping[str, Any], **of: str
    ) -> None:
        """Write a table of a job with these wildcards, and `about` beside what every run of a model says of itself."""
        made = {
            "options": self.options(rule, **of),
            "batch_rows": 64,
            "parameters": self.planted.shape["parameters"],
            "weights_sha256": hashlib.sha256(self.model.encode()).hexdigest(),
            "device": "none: planted",
            "dtype": self.study.run_options(self.model)["dtype"],
            "continuation_tokens": STEPS,
        }
        table.write(self.path(rule, output, **of), columns, made | dict(about))

    def _all(self, wildcards: Mapping[str, str]) -> dict[str, str]:
        return {"model": self.model, **wildcards}


def coarse(values: np.ndarray) -> np.ndarray:
    """Float32 of half the digits, which a disk takes packed."""
    return values.astype(np.float16).astype(np.float32)
