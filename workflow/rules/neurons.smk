# Neurons: what those of the MLPs carry of the recall of drawn rows, for the models that the config lists and for siblings.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/; counterfactual/<model>/
# out: neurons/<model>/{rows,class}.parquet, the same in seed-<seed>/without-<half>/; tables/{neurons,neuron_overlap,neuron_layers,
#      neuron_siblings}.parquet


rule neurons:
    """Rank the neurons of drawn rows by integrated gradients, and take the foremost out."""
    input:
        unpack(inputs_of("neurons")),
    output:
        **outputs_of("neurons"),
    log:
        log_of("neurons"),
    wildcard_constraints:
        model=models_in("neurons"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("neurons"),
    message:
        "Take neurons out of {wildcards.model}"
    script:
        "../../scripts/job.py"


if "neurons_siblings" in study.rules:

    rule neurons_siblings:
        """The same of a sibling, by the texts that it saw and recites and its twin does not."""
        input:
            unpack(inputs_of("neurons_siblings")),
        output:
            **outputs_of("neurons_siblings"),
        log:
            log_of("neurons_siblings"),
        wildcard_constraints:
            seed=r"\d+",
            half="[ab]",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
            gpu=gpus_of,
            gpu_model=gpu_model_of,
            nodes=1,
        params:
            **params_of("neurons_siblings"),
        message:
            "Take neurons out of {wildcards.model} without half {wildcards.half} of seed {wildcards.seed}"
        script:
            "../../scripts/job.py"


rule neurons_aggregation:
    """What is left without sets of neurons, how far rows share theirs, and where these lie."""
    input:
        unpack(inputs_of("neurons_aggregation")),
    output:
        **outputs_of("neurons_aggregation"),
    log:
        log_of("neurons_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("neurons_aggregation"),
    message:
        "Aggregate the neurons"
    script:
        "../../scripts/job.py"
