# Shared by the files beside it: the fingerprint of code, and which files a job reads.
from recite.files import canonical_json
from recite.fingerprint import fingerprint
from recite.limits import Limits

LIMITS = Limits(study)


# `fetch` reaches the jobs by the config and not by their params: turning it on makes nothing anew.
def code(stage):
    """Params function: fingerprint of a stage's script and of all that it imports; a changed comment changes nothing."""
    # As a function it is asked by the jobs of the stage alone, and not by each process that reads the rules.
    return lambda wildcards: fingerprint(Path(workflow.basedir, "scripts", f"{stage}.py"))


def tokenizer_of(file):
    """Input function: a file of the tokenizer folder of the job's model."""
    return lambda wildcards: f"{RESULTS}/tokenizers/{study.models[wildcards.model].family}/{file}"


def checkpoint_of(wildcards):
    """What names a model's weights: config and weights of one that is trained here, or a checkpoint's record."""
    if study.trains:
        return [f"{RESULTS}/models/{wildcards.model}/{file}" for file in ("model.safetensors", "config.json")]
    return [f"{RESULTS}/checkpoints/{wildcards.model}.json"]


def documents_of(wildcards):
    """The files to sample of a corpus that is made here, or the inventory of one that lies elsewhere."""
    if study.trains:
        return [CORPUS_FILES[domain] for domain in study.corpora[wildcards.corpus]["domains"]]
    return [f"{RESULTS}/inventories/{wildcards.corpus}.json"]


def candidates_of(wildcards):
    """All candidates of a family's corpus."""
    corpus = study.families[wildcards.family].corpus
    return [f"{RESULTS}/candidates/{corpus}/{group}.parquet" for group in study.group_names(corpus)]


def shards_of(wildcards):
    """The sample shards of one part of one model's rows."""
    family = study.models[wildcards.model].family
    return [f"{RESULTS}/samples/{family}/{shard}.parquet" for shard in study.parts(wildcards.model)[wildcards.part]]


def ablated_shards_of(wildcards):
    """The sample shards of one part that hold rows whose heads are ablated."""
    family, parts = study.models[wildcards.model].family, study.ablation_parts(wildcards.model)
    return [f"{RESULTS}/samples/{family}/{shard}.parquet" for shard in parts[wildcards.part]]


def all_ablated_shards_of(wildcards):
    """The same of all parts."""
    family, parts = study.models[wildcards.model].family, study.ablation_parts(wildcards.model)
    return [f"{RESULTS}/samples/{family}/{shard}.parquet" for shards in parts.values() for shard in shards]


def head_means_of(wildcards):
    """The mean outputs of a model's heads, where these replace them."""
    return [f"{RESULTS}/ablation_means/{wildcards.model}.parquet"] if study.needs_head_means else []


def screened_of(wildcards):
    """How much a model's heads are estimated to matter, where not all of them are ablated."""
    return [f"{RESULTS}/screening/{wildcards.model}.parquet"] if study.screens else []


def batch_of(wildcards):
    """The measured batch size of a model, where the config leaves it open."""
    return [f"{RESULTS}/batches/{wildcards.model}.json"] if study.measures_batches else []


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


def scores_of(models):
    """The scores of some models, all parts."""
    return [f"{RESULTS}/scores/{model}/{part}.parquet" for model in models for part in study.parts(model)]


def tables_of(rule):
    """The table files that a rule makes, by table."""
    return {table: f"{RESULTS}/tables/{table}.parquet" for table in study.tables_of[rule]}


def indexes_of(family, counting):
    """The folders of the local index in which a family's rows are counted."""
    corpus, units = study.families[family].corpus, study.index_of(family, counting)
    groups = study.group_names(corpus) if units else ()
    return [f"{RESULTS}/indexes/{corpus}/{units}/{group}" for group in groups]
