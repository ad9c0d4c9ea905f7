# Report: one picture, as PNG and SVG, and the table behind it, for every figure; the study in words and numbers.
#
# in:  tables/, corpus/manifest.json of a corpus that is made here
# out: figures/<figure>.png, .svg, .csv; summary.md; snakemake --report makes the HTML from these

# The captions read it from here.
config["shown"] = FIGURES


rule figures:
    """Draw one figure from its tables."""
    input:
        unpack(inputs_of("figures")),
    output:
        png=report(
            outputs_of("figures")["png"],
            caption="../report/figure.rst",
            category=lambda wildcards: study.figures[wildcards.figure].category,
            labels=lambda wildcards: {"figure": study.figures[wildcards.figure].title, "as": "picture"},
        ),
        svg=outputs_of("figures")["svg"],
        csv=report(
            outputs_of("figures")["csv"],
            caption="../report/figure.rst",
            category=lambda wildcards: study.figures[wildcards.figure].category,
            labels=lambda wildcards: {"figure": study.figures[wildcards.figure].title, "as": "table"},
        ),
    log:
        log_of("figures"),
    # Seen as soon as its tables are there.
    priority: 1
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("figures"),
    message:
        "Draw figure {wildcards.figure}"
    script:
        "../../scripts/job.py"


rule summary:
    """Write the study's numbers as a short page."""
    input:
        unpack(inputs_of("summary")),
    output:
        summary=report(
            outputs_of("summary")["summary"],
            caption="../report/summary.rst",
            category="Summary",
            labels={"page": "the study's numbers"},
        ),
    log:
        log_of("summary"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("summary"),
    message:
        "Write the summary"
    script:
        "../../scripts/job.py"
