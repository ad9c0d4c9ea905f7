# Shared by the files beside it: the fingerprint of code, and which files a job reads.
from recite.files import canonical_json
from recite.fingerprint import fingerprint


def code(stage):
    """Fingerprint of a stage's script and of all that it imports: a changed comment changes nothing."""
    return fingerprint(Path(workflow.basedir, "scripts", f"{stage}.py"))


def tokenizer_of(file):
    """Input function: a file of the tokenizer folder of the job's model."""
    return lambda wildcards: f"{RESULTS}/tokenizers/{study.models[wildcards.model].family}/{file}"


def shards_of(wildcards):
    """The sample shards of one part of one model's rows."""
    family = study.models[wildcards.model].family
    return [f"{RESULTS}/samples/{family}/{shard}.parquet" for shard in study.parts[wildcards.part]]


def batch_of(wildcards):
    """The measured batch size of a model, where the config leaves it open."""
    return [f"{RESULTS}/batches/{wildcards.model}.json"] if study.measures_batches else []
