# Figures: one picture, as PNG and SVG, and the table behind it, per entry of the figures file.
#
# in:  tables/
# out: figures/<figure>.png, .svg, .csv

# The report's captions read it from here.
config["figures"] = study.figures


rule figures:
    """Draw one figure from its tables."""
    input:
        lambda wildcards: [f"{RESULTS}/tables/{table}.parquet" for table in study.figures[wildcards.figure]["tables"]],
    output:
        png=report(
            f"{RESULTS}/figures/{{figure}}.png",
            caption="../report/figure.rst",
            category=lambda wildcards: study.figures[wildcards.figure]["category"],
            labels=lambda wildcards: {"figure": study.figures[wildcards.figure]["title"], "as": "picture"},
        ),
        svg=f"{RESULTS}/figures/{{figure}}.svg",
        csv=report(
            f"{RESULTS}/figures/{{figure}}.csv",
            caption="../report/figure.rst",
            category=lambda wildcards: study.figures[wildcards.figure]["category"],
            labels=lambda wildcards: {"figure": study.figures[wildcards.figure]["title"], "as": "table"},
        ),
    log:
        f"{RESULTS}/logs/figures/{{figure}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("figures"),
        title=lambda wildcards: study.figures[wildcards.figure]["title"],
    message:
        "Draw figure {wildcards.figure}"
    script:
        "../../scripts/figures.py"
