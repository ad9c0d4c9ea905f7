"""The paper's study behind its GPU jobs, rehearsed: planted tables of rows, and every rule from them to the summary.

make rehearsal                          all models and domains of config/paper.yaml, 300 rows of each domain
make rehearsal OPTIONS="--rows 3000"    as many as the disk takes: about 0.9 MB a row of each domain

What was planted is looked for in the tables, and each job's seconds and peak memory are printed.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from recite.catalogue import STAGES
from recite.study.config import read_yaml
from recite.study.study import Study, load_study
from rehearsal.checks import check
from rehearsal.plant import plant
from rehearsal.reading import reading_told
from rehearsal.told import jobs_told

CONFIG, MODELS = Path("config/paper.yaml"), Path("config/models.yaml")
READ_FROM_OUTSIDE = ("inventory", "candidates", "sampling", "samples", "family_tokenizer", "registration")
COUNTED = ("frequency_index", "frequency")
SHARDS_A_JOB, LAYERS_A_JOB = 12, 16
"""Fewer and longer jobs than the paper's, whose many files say nothing of those that sum them up."""


def configured(arguments: argparse.Namespace) -> dict[str, Any]:
    """The paper's config with fewer rows, and fewer files of them."""
    config = read_yaml(CONFIG)
    config["study"] = arguments.study
    config["sampling"]["rows_per_domain"] = arguments.rows
    config["models"] = arguments.models or config["models"]
    if arguments.resamples:
        config["aggregation"] = config.get("aggregation", {}) | {"resamples": arguments.resamples}
    families = {model["family"] for name, model in read_yaml(MODELS).items() if name in config["models"]}
    config["frequency"]["families"] = [name for name in config["frequency"]["families"] if name in families]
    config["scoring"]["shards_per_job"] = SHARDS_A_JOB
    config["ablation"]["layers_per_job"] = LAYERS_A_JOB
    for section, key in (("scoring", "shards_per_job_of"), ("ablation", "layers_per_job_of")):
        del config[section][key]
    return config


def behind(study: Study) -> list[str]:
    """The rules that run: all but those that read a corpus, run a model, or ask for counts."""
    made = (*READ_FROM_OUTSIDE, *COUNTED)
    return [name for name, rule in study.rules.items() if not rule.runs_model and name not in made]


def run(study: Study, config: Path, cores: int) -> None:
    """Every rule behind the GPU jobs, by Snakemake; what is planted are files to it that no rule makes."""
    rules = behind(study)
    command = [sys.executable, "-m", "snakemake", "--configfile", str(config), "--cores", str(cores)]
    command += ["--keep-going", "--allowed-rules", *rules, "--"]
    targets = [f"{study.results}/{path}" for rule in rules for path in study.files(rule)]
    subprocess.run(command + targets, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300, help="rows of every domain; the paper's are 300,000")
    parser.add_argument("--study", default="rehearsal", help="its name: all of it lies in results/<study>")
    parser.add_argument("--models", nargs="*", help="some of the paper's models; all of them by default")
    parser.add_argument("--resamples", type=int, help="fewer than the paper's, as rankings of many heads take hours")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--planted", action="store_true", help="take the tables of rows that lie there")
    arguments = parser.parse_args()
    config = configured(arguments)
    study = load_study(config, str(CONFIG), STAGES)
    folder = Path(study.results)
    written = folder / "rehearsal.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    written.write_text(yaml.safe_dump(configured(arguments), sort_keys=False))
    began = time.perf_counter()
    if not arguments.planted:
        plant(study, written, folder, arguments.cores)
    planted = time.perf_counter()
    run(study, written, arguments.cores)
    print(f"planted in {planted - began:.0f} s, run in {time.perf_counter() - planted:.0f} s")
    print(jobs_told(study, folder, behind(study)))
    print(reading_told(study))
    return check(study, folder)


if __name__ == "__main__":
    sys.exit(main())
