"""A plan and its schedule as text for people and as JSON for programs."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from recite.planning import costs
from recite.planning.costs import Machine
from recite.planning.job import Job
from recite.planning.planner import Planner
from recite.planning.simulation import Schedule

HOUR = 3600


def as_text(planner: Planner, schedule: Schedule | None) -> str:
    """The plan's tables, one under the other."""
    gpu_jobs = [job for job in planner.jobs if job.gpus]
    parts = [
        f"Study {planner.study.name}: {len(planner.jobs)} jobs, {_gpu_hours(planner.jobs):,.1f} GPU hours.",
        _assumptions(planner.machine),
        "Stages",
        _stages(planner.jobs),
        _extremes(_model_rules(planner), gpu_jobs),
        "Models",
        _models(planner),
        "Disk, GB",
        _disk(planner),
    ]
    if schedule:
        parts += ["Simulation", _simulation(schedule, planner.machine)]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(planner: Planner, schedule: Schedule | None) -> dict[str, Any]:
    """All numbers, in seconds and bytes."""
    made: dict[str, Any] = {
        "study": planner.study.name,
        "machine": planner.machine._asdict(),
        "constants": {
            name: value
            for module in _cost_modules(planner)
            for name, value in vars(module).items()
            if name.isupper() and isinstance(value, (int, float))
        },
        "jobs": [job._asdict() for job in planner.jobs],
        "models": {
            name: {
                "parameters": cost.facts.parameters,
                "body": cost.facts.body,
                "gpus": cost.gpus,
                "weight_bytes": cost.weights,
                "batch_rows": cost.batch_rows,
                "peak_bytes": cost.peak,
                "flops_per_row": cost.row,
            }
            for name, cost in planner.costs.items()
        },
    }
    if schedule:
        made["simulation"] = {
            "makespan": schedule.makespan,
            "idle": schedule.idle,
            "bounds": schedule.bounds,
            "critical_path": [job.name for job in schedule.chain],
            "runs": [{"job": run.job.name, "server": run.server, "start": run.start} for run in schedule.runs],
        }
    return made


def _cost_modules(planner: Planner) -> list[ModuleType]:
    """Where costs are told, the stages' own numbers last."""
    names = dict.fromkeys(rule.cost.__module__ for rule in planner.study.rules.values())
    return [costs, *(sys.modules[name] for name in names)]


def _model_rules(planner: Planner) -> list[str]:
    """The rules that run a model."""
    return [name for name, rule in planner.study.rules.items() if rule.runs_model]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns of equal width: the first one to the left, numbers to the right."""
    texts = [list(map(str, row)) for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in texts
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _gpu_hours(jobs: Iterable[Job]) -> float:
    return sum(job.gpus * job.seconds for job in jobs) / HOUR


def _core_hours(jobs: Iterable[Job]) -> float:
    return sum(job.cores * job.seconds for job in jobs) / HOUR


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.1f}"


def _assumptions(machine: Machine) -> str:
    return (
        f"{machine.servers} servers of {machine.gpus} GPUs and {machine.cores} cores. "
        f"A GPU has {machine.gpu_memory:g} GB and reaches {machine.efficiency:g} of {machine.tflops:g} TFLOP/s.\n"
        f"Weights load at {machine.load_gbs:g} GB/s; a core reads {machine.read_mbs:g} MB of text a second. "
        "Formulas and assumptions: docs/plan.md."
    )


def _stages(jobs: Sequence[Job]) -> str:
    rows = []
    for stage in dict.fromkeys(job.stage for job in jobs):
        own = [job for job in jobs if job.stage == stage]
        seconds = [job.seconds for job in own]
        gpus = f"{_gpu_hours(own):,.1f}" if any(job.gpus for job in own) else ""
        rows.append((stage, len(own), gpus, f"{_core_hours(own):,.1f}", _minutes(min(seconds)), _minutes(max(seconds))))
    return table(("stage", "jobs", "GPU h", "core h", "shortest, min", "longest, min"), rows)


def _extremes(rules: Sequence[str], gpu_jobs: Sequence[Job]) -> str:
    if not gpu_jobs:
        return ""
    lines = []
    for word, choose in (("Shortest", min), ("Longest", max)):
        found = [choose((job for job in gpu_jobs if job.stage == stage), key=_length, default=None) for stage in rules]
        named = [f"{job.name} {_minutes(job.seconds)} min" for job in found if job]
        lines.append(f"{word} GPU jobs: {', '.join(named)}.")
    return "\n".join(lines)


def _length(job: Job) -> float:
    return job.seconds


def _models(planner: Planner) -> str:
    rows, rules = [], _model_rules(planner)
    for name, cost in planner.costs.items():
        own = [job for job in planner.jobs if job.subject == name and job.stage in rules]
        parts = [job.seconds for job in own]
        rows.append(
            (
                name,
                f"{cost.facts.parameters / 1e9:.3g}",
                cost.gpus,
                cost.batch_rows,
                f"{cost.peak / 1e9:.1f}" if cost.gpus else "",
                f"{cost.row / 1e12:.3g}",
                len(own),
                _minutes(min(parts)),
                _minutes(max(parts)),
                f"{_gpu_hours(own) if cost.gpus else _core_hours(own):,.1f}",
            )
        )
    head = (
        "model",
        "10^9 par.",
        "GPUs",
        "batch",
        "GB/GPU",
        "TFLOP/row",
        "jobs",
        "shortest, min",
        "longest, min",
        "hours",
    )
    return table(head, rows)


def _disk(planner: Planner) -> str:
    written: Counter[str] = Counter()
    for job in planner.jobs:
        written[job.stage] += job.written
    rows = [(stage, f"{total / 1e9:,.1f}") for stage, total in written.items() if total]
    if not planner.study.trains:
        rows.append(("weights, as run", f"{sum(cost.weights for cost in planner.costs.values()) / 1e9:,.1f}"))
        text = sum(planner.text_bytes(corpus) for corpus in planner.study.domains)
        rows.append(("text of the corpora, unpacked", f"{text / 1e9:,.1f}"))
    return table(("what", "GB"), rows)


def _simulation(schedule: Schedule, machine: Machine) -> str:
    longest = max((run.job for run in schedule.runs), key=_length)
    bounds = schedule.bounds
    most = max(bounds, key=lambda name: bounds[name])
    idle = "no GPUs" if schedule.idle is None else f"{schedule.idle:.1%} of the GPUs' time is idle"
    lines = [
        f"Makespan {schedule.makespan / HOUR:,.2f} h ({schedule.makespan / 24 / HOUR:.2f} days) on {machine.servers} x "
        f"{machine.gpus} GPUs; {idle}.",
        f"Longest job: {longest.name}, {_minutes(longest.seconds)} min.",
        f"Dominated by {most}. No schedule is shorter than: "
        + ", ".join(f"{name} {seconds / HOUR:,.2f} h" for name, seconds in bounds.items())
        + ".",
        "Critical path:",
        table(("job", "min"), [(job.name, _minutes(job.seconds)) for job in schedule.chain]),
        "When each stage runs:",
        _times(schedule),
    ]
    return "\n".join(lines)


def _times(schedule: Schedule) -> str:
    rows = []
    for stage in dict.fromkeys(run.job.stage for run in schedule.runs):
        own = [run for run in schedule.runs if run.job.stage == stage]
        start, end = min(run.start for run in own), max(run.end for run in own)
        rows.append((stage, f"{start / HOUR:.2f}", f"{end / HOUR:.2f}"))
    return table(("stage", "first start, h", "last end, h"), rows)
