# Recite: memorization of language models, from sampling to figures, as one DAG.
#
#   snakemake                                   the mini study (config/mini.yaml), on this machine
#   snakemake --configfile config/other.yaml    another study
#   snakemake --config seed=7                   one value changed
#
# Everything a study makes lies in results/<study>/.
import os
import re
import shlex
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

SOURCE = Path(workflow.basedir, "workflow")
sys.path.insert(0, str(SOURCE))
# Jobs, here or on a cluster's node, import the library of this checkout. Their logs are no place for moving bars.
os.environ.update(PYTHONPATH=os.pathsep.join([str(SOURCE), os.getenv("PYTHONPATH", "")]).rstrip(os.pathsep))
os.environ.update(TQDM_DISABLE="1")

# Snakemake puts the interpreter's path on a shell's command line as it is; a space in it needs quotes.
if Path(sys.executable).is_file():
    sys.executable = shlex.quote(sys.executable)

from recite import keeping
from recite.architectures import ARCHITECTURES
from recite.errors import ReciteError
from recite.forks import fork_jobs
from recite.planning import ask_once
from recite.study import load_study

ask_once()

# Snakemake has imported its plugins before it reads this file, if they are there.
if "snakemake_executor_plugin_slurm" in sys.modules:
    from recite.slurm_executor import mend

    mend()

if not workflow.overwrite_configfiles:

    configfile: "config/mini.yaml"


try:
    study = load_study(config, ", ".join(map(str, workflow.configfiles)) or "config")
except ReciteError as error:
    raise WorkflowError(str(error)) from None

RESULTS = study.results


wildcard_constraints:
    family="|".join(map(re.escape, study.families)),
    model="|".join(map(re.escape, study.models)),
    corpus="|".join(map(re.escape, study.domains)),
    # three digits, or four, and more: Snakemake takes no {3,}
    group=r"\d\d\d+",
    domain="[a-z0-9_]+",
    part=r"[a-z0-9_]+-\d\d\d\d+",
    layer=r"\d+",
    alpha=r"[0-9][0-9.e+-]*",
    first=r"\d+",
    units="|".join(map(re.escape, ["bytes", *study.families])),
    counting="|".join(study.countings) or "none",
    figure="|".join(study.figure_entries),


report: "workflow/report/workflow.rst"


# A job takes back what stood of it where its inputs are made anew and come to the same bytes; one that is forced computes.
# Jobs that run here need not load torch each, and start when another ends: the timers of Snakemake's rate limiter, one more
# for every job that has ended, would have it look for jobs again and again.
onstart:
    planned = [*workflow.dag.needrun_jobs()]
    unforced = [file for job in planned if job.rule not in workflow.dag.forcerules for file in job.output]
    keeping.set_aside(Path(RESULTS), [file for file in unforced if file not in workflow.dag.forcefiles])
    settings = workflow.executor_plugin.common_settings
    if not settings.non_local_exec and not settings.touch_exec:
        workflow.scheduler.job_rate_limiter = None
        fork_jobs(len(planned), [architecture.module for architecture in ARCHITECTURES.values()])


onsuccess:
    keeping.drop(Path(RESULTS))


onerror:
    keeping.drop(Path(RESULTS))


include: "workflow/rules/common.smk"


# Seconds each, of small tables: not worth a node of a cluster.
localrules:
    all,
    samples,
    figures,
    summary,
    verification,


if study.trains:

    include: "workflow/rules/corpus.smk"
    include: "workflow/rules/tokenization.smk"
    include: "workflow/rules/training.smk"

else:

    include: "workflow/rules/inventory.smk"
    include: "workflow/rules/registration.smk"


include: "workflow/rules/candidates.smk"
include: "workflow/rules/sampling.smk"
include: "workflow/rules/batching.smk"
include: "workflow/rules/scoring.smk"
include: "workflow/rules/compressibility.smk"
include: "workflow/rules/frequency.smk"
include: "workflow/rules/noise.smk"
include: "workflow/rules/recovery.smk"
include: "workflow/rules/lens.smk"
include: "workflow/rules/screening.smk"
include: "workflow/rules/ablation.smk"
include: "workflow/rules/overlap.smk"
include: "workflow/rules/power.smk"
include: "workflow/rules/aggregation.smk"
include: "workflow/rules/scaling.smk"
include: "workflow/rules/domains.smk"
include: "workflow/rules/signatures.smk"
include: "workflow/rules/factorial.smk"
include: "workflow/rules/ledger.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    """Everything of the study, so that a lost intermediate file is made again and not passed over."""
    default_target: True
    input:
        MADE if study.trains else CHECKPOINTS,
        SAMPLES,
        BATCHES,
        SCORES,
        SUFFIXES,
        INDEXES,
        FREQUENCIES,
        NOISE_SCORES,
        RECOVERED,
        LENS,
        LENS_POSITIONS,
        ABLATED,
        HEAD_MEANS,
        SCREENED,
        expand(f"{RESULTS}/tables/{{table}}.parquet", table=study.tables),
        expand(f"{RESULTS}/figures/{{figure}}.{{kind}}", figure=study.figures, kind=["png", "svg", "csv"]),
        f"{RESULTS}/summary.md",
