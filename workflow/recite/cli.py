"""The command `recite`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from recite.config import read_yaml
from recite.costs import Machine
from recite.errors import ReciteError
from recite.plan import Planner
from recite.plan_text import as_json, as_text
from recite.simulation import simulate
from recite.study import load_study

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
        planner = Planner(load_study(read_yaml(configfile), str(configfile)), machine)
        schedule = simulate(planner.jobs, machine) if simulated else None
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    if as_data:
        typer.echo(json.dumps(as_json(planner, schedule), indent=1))
    else:
        typer.echo(as_text(planner, schedule), nl=False)


@app.command()
def audit(
    figures: Annotated[list[str] | None, typer.Argument(metavar="[FIGURE]...", help="Figures or files.")] = None,
    configfile: Annotated[Path, typer.Option(help="The study's config.")] = CONFIG,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Read every file again.")] = False,
) -> None:
    """Hold figures, or all of a study, and all that they rest on against records, code, config and packages."""
    from recite.auditing import audit_study

    try:
        text, verified = audit_study(configfile, figures or [], as_data, full)
    except (ReciteError, OSError) as error:
        typer.echo(f"recite: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(text, nl=False)
    raise typer.Exit(0 if verified else 1)
