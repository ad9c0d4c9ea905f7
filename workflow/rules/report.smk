# Report: the study in words and numbers, and the check of its planted truths.
#
# in:  tables/, corpus/manifest.json of a corpus that is made here
# out: summary.md, verification.json; snakemake --report makes the HTML from the figures and the summary
rule summary:
    """Write the study's numbers as a short page."""
    input:
        tables=expand(f"{RESULTS}/tables/{{table}}.parquet", table=study.tables),
        manifest=[f"{RESULTS}/corpus/manifest.json"] if study.trains else [],
    output:
        report(
            f"{RESULTS}/summary.md",
            caption="../report/summary.rst",
            category="Summary",
            labels={"page": "the study's numbers"},
        ),
    log:
        f"{RESULTS}/logs/summary.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("report"),
        study=study.name,
        published=canonical_json(study.published),
    message:
        "Write the summary"
    script:
        "../../scripts/report.py"


if study.planted:

    rule verification:
        """Fail unless size and repetition raise memorization and counts are exact, where the truth is planted."""
        input:
            rates=f"{RESULTS}/tables/rates.parquet",
            controls=f"{RESULTS}/tables/control_rates.parquet",
            frequencies=FREQUENCIES,
            planted=PLANTED,
            copies=f"{RESULTS}/corpus/controls.parquet",
        output:
            f"{RESULTS}/verification.json",
        log:
            f"{RESULTS}/logs/verification.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("verification"),
        message:
            "Verify the planted truths on the finished tables"
        script:
            "../../scripts/verification.py"
