# Shared by the files beside it: what the stages declare, as Snakemake wants it.
from recite.files import canonical_json
from recite.planning.limits import Limits
from recite.provenance.fingerprint import fingerprint
from recite.provenance.records import modules_of
from recite.study.declaration import READY
from recite.study.study import described

LIMITS = Limits(study)
FIGURES = described(study.figures)


def placed(files):
    """Paths of the study's folder as paths from here."""
    return f"{RESULTS}/{files}" if isinstance(files, str) else [f"{RESULTS}/{file}" for file in files]


def inputs_of(rule):
    """Input function of a rule: its declared inputs by name; what need only be there may be newer than what reads it."""

    def inputs(wildcards):
        files = {name: placed(paths) for name, paths in study.rules[rule].inputs(study, wildcards).items()}
        return files | ({READY: ancient(files[READY])} if READY in files else {})

    return inputs


def outputs_of(rule):
    """The declared outputs of a rule by name."""
    return {name: placed(paths) for name, paths in study.outputs(rule).items()}


def models_in(rule):
    """Pattern of the models of a rule."""
    return "|".join(re.escape(job["model"]) for job in study.jobs(rule))


def log_of(rule):
    """Where the logs of a rule lie."""
    return f"{RESULTS}/logs/{study.rules[rule].path}.log"


def params_of(rule):
    """Params of a rule: its function, the fingerprint of its code, and what decides its result beside its inputs.

    The fingerprint is asked for by jobs, and not by each process that reads the rules. `fetch` reaches the jobs by the
    config and not by their params: turning it on makes nothing anew.
    """
    declared = study.rules[rule]

    def code(wildcards):
        return fingerprint(modules_of(declared.run, declared.modules(study, wildcards)))

    return {
        "run": declared.run,
        "modules": lambda wildcards: list(declared.modules(study, wildcards)),
        "code": code,
        "options": lambda wildcards: canonical_json(declared.options(study, wildcards)),
    }


def minutes_of(wildcards, attempt, rulename):
    """Run time that a job asks for."""
    return LIMITS.minutes(rulename, wildcards, attempt)


def memory_of(wildcards, attempt, rulename):
    """Megabytes of main memory that a job asks for."""
    return LIMITS.megabytes(rulename, wildcards, attempt)


def gpus_of(wildcards):
    """GPUs of a job that runs a model."""
    return study.models[wildcards.model].gpus


def gpu_model_of(wildcards):
    """Which GPUs these must be, as the scheduler names them; None for any."""
    return study.models[wildcards.model].gpu_model
