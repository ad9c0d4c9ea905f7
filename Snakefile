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

min_version("9.13")

SOURCE = Path(str(workflow.current_basedir), "workflow").resolve()
sys.path.insert(0, str(SOURCE))
# Jobs, here or on a cluster's node, import the library of this checkout. Their logs are no place for moving bars.
os.environ.update(PYTHONPATH=os.pathsep.join([str(SOURCE), os.getenv("PYTHONPATH", "")]).rstrip(os.pathsep))
os.environ.update(TQDM_DISABLE="1")

# Snakemake puts the interpreter's path on a shell's command line as it is; a space in it needs quotes.
if Path(sys.executable).is_file():
    sys.executable = shlex.quote(sys.executable)

from recite.catalogue import STAGES
from recite.checkpoints.architectures import ARCHITECTURES
from recite.errors import ReciteError
from recite.jobs import terminal
from recite.jobs.asking import ask_once
from recite.jobs.forks import fork_jobs
from recite.provenance import keeping
from recite.study.config import read_yaml
from recite.study.study import load_study

ask_once()

# Snakemake has imported its plugins before it reads this file, if they are there.
if "snakemake_executor_plugin_slurm" in sys.modules:
    from recite.jobs.slurm_executor import mend

    mend()

if not workflow.overwrite_configfiles:

    configfile: "config/mini.yaml"


try:
    for file in workflow.configfiles:
        if Path(file).suffix != ".json":
            read_yaml(Path(file))  # Snakemake would take the last of two equal keys
    study = load_study(config, ", ".join(map(str, workflow.configfiles)) or "config", STAGES)
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
    first=r"\d+",
    alpha=r"[0-9][0-9.e+-]*",


report: "workflow/report/workflow.rst"


# A job takes back what stood of it where its inputs are made anew and come to the same bytes; one that is forced computes.
# Jobs that run here need not load torch each, and start when another ends: the timers of Snakemake's rate limiter, one more
# for every job that has ended, would have it look for jobs again and again.
onstart:
    planned = [*workflow.dag.needrun_jobs()]
    unforced = [file for job in planned if job.rule not in workflow.dag.forcerules for file in job.output]
    keeping.set_aside(Path(RESULTS), [file for file in unforced if file not in workflow.dag.forcefiles])
    settings = workflow.executor_plugin.common_settings
    if not settings.touch_exec:
        terminal.show(workflow, RESULTS, LIMITS)
    if not settings.non_local_exec and not settings.touch_exec:
        workflow.scheduler.job_rate_limiter = None
        fork_jobs(len(planned), [architecture.module for architecture in ARCHITECTURES.values()])


onsuccess:
    terminal.end()
    keeping.drop(Path(RESULTS))


onerror:
    terminal.end()
    keeping.drop(Path(RESULTS))


include: "workflow/rules/common.smk"


# Seconds each, of small tables: not worth a node of a cluster.
localrules:
    all,
    samples,
    figures,
    summary,
    verification,


# A rule file for every stage that has a part in the study.
for stage in study.stages:
    if any(rule.name in study.rules for rule in stage.rules):

        include: f"workflow/rules/{stage.name}.smk"


rule all:
    """Everything of the study, so that a lost intermediate file is made again and not passed over."""
    default_target: True
    input:
        [placed(study.files(name)) for name, declared in study.rules.items() if declared.asked],
