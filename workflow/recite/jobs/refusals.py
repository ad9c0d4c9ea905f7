"""Refusals: whether SLURM, which does not take a job now, would take it later."""

import re

PASSING = (
    # Limits on a number of jobs, which pass as jobs end; those on one job's size or time never do, though sbatch ends
    # both with the same line ("Job violates accounting/QOS policy").
    r"\b(?:Assoc|QOS)?(?:Grp|Max)(?:Submit)?Jobs?(?:Per(?:User|Account))?(?:Limit)?\b",
    r"\bQOSJobLimit\b",
    r"jobs per hour limit",
    # The controller's table of jobs is full, or it is too busy.
    r"job queue full",
    r"temporarily (?:unable|unavailable|disabled)",
    r"Unable to create job record, try again",
    # Somebody has closed the partition or the cluster for a while.
    r"Required partition not available \(inactive or drain\)",
    r"System submissions disabled",
    r"Requested operation is presently disabled",
    # The controller, the accounting database or the daemon of credentials is away.
    r"Unable to contact slurm controller",
    r"controller in standby mode|Controller is in standby mode",
    r"Could not establish a configuration source",
    r"Communication (?:connection|shutdown) failure|Message (?:send|receive) failure",
    r"Socket timed out|[Cc]onnection (?:refused|reset|timed out)|Broken pipe|No route to host",
    r"Zero Bytes were transmitted or received|Transport endpoint is not connected",
    r"Unable to connect to database|failed to open persistent connection",
    r"Munge encode failed",
)
"""Expressions for what sbatch and its kin say when asking again is enough (SLURM 22.05, `slurm_strerror`)."""
_PASSES = re.compile("|".join(PASSING))
_REPORT = re.compile(
    r"SLURM sbatch failed\. The error message was '(.*?)'\.\n    sbatch call:"
    r"|Job submission failed with exception: (.*)",
    re.DOTALL,
)
"""The two ways in which Snakemake's SLURM plugin reports that a job was not submitted."""


def words_of(report: str) -> str | None:
    """SLURM's own words in a report of the plugin, in one line; None where it does not tell of one job's submission."""
    found = _REPORT.match(report)
    if found is None:
        return None
    lines = (found[1] if found[1] is not None else found[2]).splitlines()
    said = [re.sub(r"^\w+: (?:error|fatal): ", "", line.strip()) for line in lines]
    return "; ".join(line for line in said if line) or "sbatch gives no reason"


def passes(words: str) -> bool:
    """Whether the same job may be taken later; what is not known to pass does not."""
    return _PASSES.search(words) is not None
