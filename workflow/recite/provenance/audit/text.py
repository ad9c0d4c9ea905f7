"""An audit as text and as JSON: what was asked for, and the way from there to whatever is not verified."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from recite.provenance.audit.verdicts import STATUSES, Audit, Finding

MOST = 6
"""Files of one kind that are shown at one place of a tree."""


class Shown:
    """The lines of an audit; `whole` shows the trees of what is verified too."""

    def __init__(self, audit: Audit, whole: bool) -> None:
        self.audit = audit
        self.whole = whole
        self._sound: dict[str, bool] = {}

    def sound(self, path: str) -> bool:
        """Whether a file and all that it rests on are verified."""
        if path not in self._sound:
            finding = self.audit.findings[path]
            self._sound[path] = finding.status == "verified" and all(map(self.sound, finding.inputs))
        return self._sound[path]

    def lines(self) -> list[str]:
        groups: dict[str, list[str]] = {}
        for path in self.audit.targets:
            groups.setdefault(path.rpartition(".")[0] if path.startswith("figures/") else path, []).append(path)
        named = {name: paths for name, paths in groups.items() if self.whole or name.startswith("figures/")}
        rest = [path for name, paths in groups.items() if name not in named for path in paths]
        lines: list[str] = []
        seen: set[str] = set()
        for name, paths in named.items():
            lines.append(f"{name}{_endings(paths)}  {self._verdict(paths)}")
            if self.whole or not all(map(self.sound, paths)):
                wrong = [path for path in paths if self.audit.findings[path].status != "verified"]
                lines += [f"│  {_label(self.audit.findings[path])}" for path in wrong]
                lines += self._tree(self._inputs(paths), "", seen)
        unsound = [path for path in rest if self.audit.findings[path].status != "verified"]
        if rest:
            lines.append(f"{len(rest)} other results  {self._verdict(rest)}")
            lines += self._tree(unsound, "", seen)
        return lines

    def _inputs(self, paths: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(name for path in paths for name in self.audit.findings[path].inputs))

    def _verdict(self, paths: list[str]) -> str:
        below = self.audit.below(paths)
        counts = Counter(finding.status for finding in below.values())
        if set(counts) == {"verified"}:
            return f"verified, with all it rests on ({len(below)} files)"
        own = max((self.audit.findings[path].status for path in paths), key=STATUSES.index)
        bad = ", ".join(f"{counts[status]} {status}" for status in reversed(STATUSES[1:]) if counts[status])
        return f"{own}: {bad} of {len(below)} files" if own != "verified" else f"rests on what is not verified: {bad}"

    def _tree(self, paths: list[str], indent: str, seen: set[str]) -> list[str]:
        """One line for each kind of verified files, one for each other file, and below it what it rests on."""
        bad = [path for path in paths if not self.sound(path)]
        entries = [(_label(self.audit.findings[path]), [path]) for path in bad[:MOST]]
        if len(bad) > MOST:
            entries.append((f"and {len(bad) - MOST} more that are not verified", []))
        if self.whole:
            kinds: dict[str, list[str]] = {}
            for path in paths:
                if self.sound(path):
                    kinds.setdefault(self.audit.findings[path].rule, []).append(path)
            entries += [(_kind(rule, names), names) for rule, names in kinds.items()]
        lines = []
        for index, (label, names) in enumerate(entries):
            last = index == len(entries) - 1
            below = self._inputs(names)
            known = set(names) <= seen
            seen.update(names)
            lines.append(f"{indent}{'└─ ' if last else '├─ '}{label}{'  (see above)' if known and below else ''}")
            if not known:
                lines += self._tree(below, indent + ("   " if last else "│  "), seen)
        return lines


def _endings(paths: list[str]) -> str:
    return f".{{{','.join(path.rpartition('.')[2] for path in paths)}}}" if len(paths) > 1 else ""


def _kind(rule: str, names: list[str]) -> str:
    return f"{names[0] if len(names) == 1 else f'{len(names)} files'}  verified, by {rule or 'no rule'}"


def _label(finding: Finding) -> str:
    reasons = "; ".join(reason for _, reason in sorted(finding.reasons, key=lambda reason: -STATUSES.index(reason[0])))
    return f"{finding.path}  {finding.status.upper()}: {reasons}" if reasons else f"{finding.path}  (verified itself)"


def as_text(audit: Audit, whole: bool) -> str:
    """What `recite audit` prints; the trees of what is verified only where `whole`."""
    counts = Counter(finding.status for finding in audit.findings.values())
    said = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    lines = Shown(audit, whole).lines()
    return "\n".join([f"Study {audit.study.name}", "", *lines, "", f"{said}. Digest of all: {audit.digest}"]) + "\n"


def as_json(audit: Audit) -> dict[str, Any]:
    """The audit as data: each file with rule, status, reasons, digest, inputs, and what is wrong below each figure."""
    wrong = {path for path, finding in audit.findings.items() if finding.status != "verified"}
    figures = [path for path in audit.targets if path.startswith("figures/")]
    return {
        "study": audit.study.name,
        "verified": audit.verified,
        "digest": audit.digest,
        "counts": dict(Counter(finding.status for finding in audit.findings.values())),
        "figures": {path: sorted(audit.below([path]).keys() & wrong) for path in figures},
        "files": {
            path: {
                "rule": finding.rule,
                "status": finding.status,
                "reasons": [{"status": status, "reason": reason} for status, reason in finding.reasons],
                "sha256": finding.sha256,
                "inputs": list(finding.inputs),
            }
            for path, finding in audit.findings.items()
        },
    }
