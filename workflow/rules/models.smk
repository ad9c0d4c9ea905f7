# Models and tokenizers: trained here, or fetched where the config allows it, checked and named by digest.
#
# in:  corpus/documents/, or the files that the registry names
# out: tokenizers/<family>/, models/<model>/ of one that is trained here or checkpoints/<model>.json


if study.trains:

    rule tokenization:
        """Train a byte-level BPE on the corpus and cut the documents into training rows."""
        input:
            unpack(inputs_of("tokenization")),
        output:
            **outputs_of("tokenization"),
        log:
            log_of("tokenization"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            **params_of("tokenization"),
        message:
            "Train the tokenizer of {wildcards.family}"
        script:
            "../../scripts/job.py"

    # Two rules make the same files of a model, and the second some on the way: each has models of its own.
    if "training" in study.rules:

        rule training:
            """Train one model from seeded random weights; the same machine gives the same bits."""
            input:
                unpack(inputs_of("training")),
            output:
                **outputs_of("training"),
            log:
                log_of("training"),
            wildcard_constraints:
                model=models_in("training"),
            # Everything waits for models.
            priority: 1
            conda:
                "../../envs/recite.yaml"
            resources:
                runtime=minutes_of,
                mem_mb=memory_of,
            params:
                **params_of("training"),
            message:
                "Train {wildcards.model}"
            script:
                "../../scripts/job.py"

    if "training_in_steps" in study.rules:

        rule training_in_steps:
            """Train one model as ever, and save its weights on the way; the same machine gives the same bits."""
            input:
                unpack(inputs_of("training_in_steps")),
            output:
                **outputs_of("training_in_steps"),
            log:
                log_of("training_in_steps"),
            wildcard_constraints:
                model=models_in("training_in_steps"),
            # Everything waits for models.
            priority: 1
            conda:
                "../../envs/recite.yaml"
            resources:
                runtime=minutes_of,
                mem_mb=memory_of,
            params:
                **params_of("training_in_steps"),
            message:
                "Train {wildcards.model}"
            script:
                "../../scripts/job.py"

else:

    rule family_tokenizer:
        """Copy the tokenizer of a family's first model."""
        input:
            unpack(inputs_of("family_tokenizer")),
        output:
            **outputs_of("family_tokenizer"),
        log:
            log_of("family_tokenizer"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            **params_of("family_tokenizer"),
        message:
            "Copy the tokenizer of {wildcards.family}"
        script:
            "../../scripts/job.py"

    rule registration:
        """Hold a checkpoint against its entry in the registry and write its record."""
        input:
            unpack(inputs_of("registration")),
        output:
            **outputs_of("registration"),
        log:
            log_of("registration"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            **params_of("registration"),
        message:
            "Check the weights of {wildcards.model}"
        script:
            "../../scripts/job.py"
