"""recite.jobs.refusals: which of SLURM's refusals pass."""

import pytest

from recite.jobs.refusals import passes, words_of

POLICY = (
    "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
)
"""The same last line for limits that pass and for limits that never do."""
COUNTS = [
    "AssocGrpJobsLimit",
    "AssocGrpSubmitJobsLimit",
    "AssocMaxJobsLimit",
    "AssocMaxSubmitJobLimit",
    "MaxJobsPerAccount",
    "MaxSubmitJobsPerAccount",
    "QOSGrpJobsLimit",
    "QOSGrpSubmitJobsLimit",
    "QOSJobLimit",
    "QOSMaxJobsPerUserLimit",
    "QOSMaxSubmitJobPerUserLimit",
]
"""Limits on a number of jobs: of those that libslurm names, all with `Jobs`, `SubmitJob` or `JobLimit`."""
SIZES = [
    "AssocGrpCpuLimit",
    "AssocGrpGRES",
    "AssocGrpMemLimit",
    "AssocGrpNodeLimit",
    "AssocGrpWallLimit",
    "AssocMaxCpuPerJobLimit",
    "AssocMaxCpuMinutesPerJobLimit",
    "AssocMaxCpuPerNode",
    "AssocMaxGRESPerJob",
    "AssocMaxMemPerJob",
    "AssocMaxNodePerJobLimit",
    "AssocMaxWallDurationPerJobLimit",
    "MaxCpuPerAccount",
    "QOSGrpCpuLimit",
    "QOSGrpGRESMinutes",
    "QOSMaxCpuPerJobLimit",
    "QOSMaxCpuPerUserLimit",
    "QOSMaxGRESPerUser",
    "QOSMaxMemoryPerJob",
    "QOSMaxNodePerJobLimit",
    "QOSMaxWallDurationPerJobLimit",
    "QOSMinCpuNotSatisfied",
    "QOSMinGRES",
    "QOSNotAllowed",
    "QOSResourceLimit",
    "QOSTimeLimit",
    "QOSUsageThreshold",
]
"""Limits on one job's size or time."""


@pytest.mark.parametrize("word", COUNTS)
def test_limits_on_the_number_of_jobs_pass(word: str) -> None:
    assert passes(f"{word}; {POLICY}")


@pytest.mark.parametrize("word", SIZES)
def test_limits_on_one_job_do_not(word: str) -> None:
    assert not passes(f"{word}; {POLICY}")


@pytest.mark.parametrize(
    "words",
    [
        f"Reached jobs per hour limit; {POLICY}",
        "Slurm temporarily unable to accept job, sleeping and retrying; "
        "Batch job submission failed: Resource temporarily unavailable",
        "Slurm job queue full, sleeping and retrying",
        "Batch job submission failed: Unable to create job record, try again",
        "Job creation temporarily disabled, retrying",
        "Batch job submission failed: Required partition not available (inactive or drain)",
        "Batch job submission failed: System submissions disabled",
        "Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "Batch job submission failed: Slurm backup controller in standby mode",
        "Batch job submission failed: Controller is in standby mode, try a different controller",
        "Batch job submission failed: Socket timed out on send/recv operation",
        "Batch job submission failed: Zero Bytes were transmitted or received",
        "Batch job submission failed: Transport endpoint is not connected",
        "Batch job submission failed: Message receive failure",
        "Batch job submission failed: Connection refused",
        "fetch_config: DNS SRV lookup failed; Could not establish a configuration source",
        'Munge encode failed: Failed to access "/run/munge/munge.socket.2": No such file or directory; '
        "Batch job submission failed: Protocol authentication error",
        "The 'sacctmgr' reported: 'Unable to test the validity: failed to open persistent connection to host:db:6819'",
    ],
)
def test_what_is_busy_closed_or_away_passes(words: str) -> None:
    assert passes(words)


@pytest.mark.parametrize(
    "reason",
    [
        "Invalid partition name specified",
        "Invalid account or account/partition combination specified",
        "Invalid qos specification",
        "Requested time limit is invalid (missing or exceeds some limit)",
        "Requested node configuration is not available",
        "Invalid feature specification",
        "Requested reservation is invalid",
        "Invalid generic resource (gres) specification",
        "Access/permission denied",
        "User's group not permitted to use this partition",
        "More processors requested than permitted",
        "Time limit specification required, but not provided",
        "Node count specification invalid",
        "Memory required by task is not available",
        "Job size specification needs to be provided",
        "Unspecified error",
    ],
)
def test_what_the_job_asks_for_does_not(reason: str) -> None:
    assert not passes(f"Batch job submission failed: {reason}")
    assert not passes(f"Batch job submission failed: {reason}; {POLICY}")


def test_the_words_in_a_report_of_the_plugin() -> None:
    """Of the command, which holds names of files, nothing is taken for SLURM's words."""
    said = "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: it's the 'policy'"
    call = "sbatch --comment 'Connection refused'"
    report = f"SLURM sbatch failed. The error message was '{said}'.\n    sbatch call:\n        {call}\n"
    assert words_of(report) == "AssocMaxSubmitJobLimit; Batch job submission failed: it's the 'policy'"
    assert words_of(report.replace(said, "")) == "sbatch gives no reason"
    assert words_of("Job submission failed with exception: no\nsinfo: error: way") == "no; way"
    assert words_of("Array job submission failed with exception: no") is None
