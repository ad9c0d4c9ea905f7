"""All planted tables of a study, model by model."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from recite.catalogue import STAGES
from recite.study.config import read_yaml
from recite.study.study import Study, load_study
from rehearsal.drawn import write_drawn
from rehearsal.heads import write_heads
from rehearsal.measured import write_first_rows, write_rows
from rehearsal.others import write_frequencies, write_neighbours, write_tokenizers
from rehearsal.sampled import write_samples
from rehearsal.written import Written


def write_model(config: Path, folder: Path, model: str) -> str:
    """Every table that the GPU jobs of one model would write, as far as a rule behind them reads it."""
    made = Written(load_study(read_yaml(config), str(config), STAGES), folder, model)
    for write in (write_rows, write_first_rows, write_drawn, write_heads, write_neighbours):
        write(made)
    return model


def plant(study: Study, config: Path, folder: Path, cores: int) -> None:
    for write in (write_samples, write_tokenizers, write_frequencies):
        write(study, folder)
    largest = sorted(study.models, key=lambda model: -study.shape_of(model)["parameters"])
    with ProcessPoolExecutor(cores, get_context("spawn"), max_tasks_per_child=1) as pool:
        for done in [pool.submit(write_model, config, folder, model) for model in largest]:
            print(f"planted: {done.result()}", flush=True)
