"""What no schema can say: how a study, its corpora, its models and its figures must fit together.

Every check raises ReciteError with one sentence: file, key, and what to do.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from recite.checkpoints.architectures import ARCHITECTURES, Shape
from recite.errors import ReciteError
from recite.study.asked import Asked
from recite.study.models import trained_models

PLANTED_FILES = ("control", "repeats", "unseen")
"""What the files of a built corpus's planted texts are called."""
PLACES = ("texts", "dataset", "files")
"""Keys of a corpus's entry that say where it lies; the last is filled in from the others."""


def check_figures(config: Mapping[str, Any], figures: Collection[str], source: str) -> None:
    """The figures that the config names are there."""
    for name in config.get("figures", ()):
        known(name, figures, f"{source}: figures", "figure of a stage")


def check_claims(
    claims: Mapping[str, Any], statistics: Collection[str], figures: Collection[str], claims_file: Path
) -> None:
    """Every claim has a statistic in the library and a figure that shows it."""
    for name, claim in claims.items():
        known(name, statistics, str(claims_file), "claim with a statistic in a stage's claims.py")
        known(claim["figure"], figures, f"{claims_file}: {name}.figure", "figure")


def check_corpora(corpora: Mapping[str, Any], corpora_file: Path) -> None:
    """A corpus is built of its own domains, with controls, or read from files whose labels name its domains."""
    for name, corpus in corpora.items():
        planted = [domain for domain, kind in corpus["domains"].items() if kind == "planted"]
        if "files" in corpus:
            _check_files(name, corpus, planted, corpora_file)
        else:
            _check_build(name, corpus, planted, corpora_file)
        _check_classes(name, corpus, corpora_file)


def _check_build(name: str, corpus: Mapping[str, Any], planted: list[str], corpora_file: Path) -> None:
    build = corpus["build"]
    taken = [domain for domain in PLANTED_FILES if domain in build["sources"]]
    if taken:
        raise ReciteError(
            f"{corpora_file}: {name}.build.sources: {taken[0]} is the name of a file of planted texts; call the "
            "domain otherwise."
        )
    for domain, kind in corpus["domains"].items():
        if kind == "held_out":
            raise ReciteError(
                f"{corpora_file}: {name}.domains: {domain} is of kind held_out, which only a corpus that lies in files "
                "can have; texts of 0 copies in build.controls.repetitions are held out of one that is built here."
            )
    for domain in build["sources"]:
        known(domain, corpus["domains"], f"{corpora_file}: {name}.build.sources", "domain of that corpus")
    source = build["controls"]["source"]
    known(source, build["sources"], f"{corpora_file}: {name}.build.controls.source", "source of that corpus")
    if planted != ["control"]:
        raise ReciteError(
            f"{corpora_file}: {name}.domains must have one domain of kind planted, called control, for the "
            f"texts of build.controls; it has {', '.join(planted) or 'none'}."
        )


def _check_classes(name: str, corpus: Mapping[str, Any], corpora_file: Path) -> None:
    """Every domain, and nothing else, has a class of text; that of planted texts is theirs alone."""
    for domain in corpus["classes"]:
        known(domain, corpus["domains"], f"{corpora_file}: {name}.classes", "domain of that corpus")
    for domain, kind in corpus["domains"].items():
        if domain not in corpus["classes"]:
            raise ReciteError(f"{corpora_file}: {name}.classes: {domain} has no class of text; give it one.")
        if (kind == "planted") != (corpus["classes"][domain] == "planted"):
            raise ReciteError(
                f"{corpora_file}: {name}.classes: {domain} is of kind {kind}, but of class "
                f"{corpus['classes'][domain]}; planted texts, and no others, are of class planted."
            )


def _check_files(name: str, corpus: Mapping[str, Any], planted: list[str], corpora_file: Path) -> None:
    files, place = corpus["files"], f"{corpora_file}: {name}.{next(key for key in PLACES if key in corpus)}"
    if planted:
        raise ReciteError(
            f"{corpora_file}: {name}.domains: {planted[0]} is of kind planted, which only a corpus that is built "
            "here can have; call it structural or free_text."
        )
    if ("domain" in files) == ("path" in files):
        raise ReciteError(
            f"{place} must find a document's domain in a field (domain) or in its file's path (path), one of them."
        )
    _check_path(files.get("path"), f"{place}.path")
    labels = files.get("labels")
    for domain in labels.values() if labels else ():
        known(domain, corpus["domains"], f"{place}.labels", "domain of that corpus")
    for domain in corpus["domains"]:
        if labels is not None and domain not in labels.values():
            raise ReciteError(f"{place}.labels: none leads to {domain}; add one or drop the domain.")


def _check_path(path: str | None, place: str) -> None:
    """The regular expression that finds a label in a file's path can be read, and has the one group."""
    try:
        groups = 1 if path is None else re.compile(path).groups
    except re.error as error:
        raise ReciteError(f"{place}: {path!r} is not a regular expression ({error}); correct it.") from None
    if groups != 1:
        raise ReciteError(f"{place}: {path!r} has {groups} groups; put the label, and nothing else, in parentheses.")


def check_models(
    config: Mapping[str, Any],
    registry: Mapping[str, Any],
    corpora: Mapping[str, Any],
    source: str,
    models_file: Path,
) -> None:
    """A study that trains nothing names checkpoints of the registry, and these name corpora."""
    if "models" not in config:
        raise ReciteError(
            f"{source}: key 'models' is missing; a study needs models: name some of {models_file} "
            "or train them here (key 'training')."
        )
    for name in config["models"]:
        known(name, registry, f"{source}: models", f"model of {models_file}")
        corpus = registry[name]["corpus"]
        known(corpus, corpora, f"{models_file}: {name}.corpus", f"corpus of {config['corpora_file']}")
        _check_steps(registry[name], f"{models_file}: {name}")
        if "files" not in corpora[corpus]:
            raise ReciteError(
                f"{models_file}: {name}.corpus: {corpus} is built for models that are trained here; name a corpus that "
                "lies in files (key 'files')."
            )


def _check_steps(entry: Mapping[str, Any], place: str) -> None:
    """Earlier checkpoints are earlier than the last one, whose step is said."""
    steps = [int(step) for step in entry.get("steps", ())]
    if steps and entry.get("step", 0) <= max(steps):
        raise ReciteError(
            f"{place}: `step`, the training steps of the checkpoint itself, must be said and be more than those of its "
            f"earlier ones (the last is {max(steps)}); add it, or correct `steps`."
        )


def check_training(config: Mapping[str, Any], corpora: Mapping[str, Any], source: str, corpora_file: Path) -> None:
    """Models can be built as the study says, of a corpus that is made here, and see all that is sampled."""
    training, sampling = config["training"], config["sampling"]
    if "models" in config:
        raise ReciteError(f"{source}: a study names models or trains them, not both; drop 'models' or 'training'.")
    known(training["corpus"], corpora, f"{source}: training.corpus", f"corpus of {corpora_file}")
    if "build" not in corpora[training["corpus"]]:
        raise ReciteError(
            f"{source}: training.corpus: {training['corpus']} has no controls planted; train on a corpus that is "
            "built here (key 'build')."
        )
    if ("families" in training) == ("factorial" in training):
        raise ReciteError(
            f"{source}: training must list its families (families) or cross architectures with recipes (factorial), "
            "one of them."
        )
    for family in training.get("families", ()):
        known(family, ARCHITECTURES, f"{source}: training.families", "family of the architecture table")
    if "factorial" in training:
        _check_factorial(training, source)
    for size, entry in training["sizes"].items():
        _check_shape(Shape(**entry), f"{source}: training.sizes.{size}")
    models = trained_models(training)
    for name in training.get("steps", {}).get("models", ()):
        known(name, models, f"{source}: training.steps.models", "model of this study")
    window = sampling["context_tokens"] + sampling["continuation_tokens"]
    if window > training["row_tokens"]:
        raise ReciteError(
            f"{source}: sampling asks for windows of {window} tokens, but training.row_tokens is "
            f"{training['row_tokens']}; the models would not have seen them whole."
        )


def _check_factorial(training: Mapping[str, Any], source: str) -> None:
    """Its architectures are known, and one size makes one profile a cell."""
    for name in training["factorial"]["architectures"]:
        known(name, ARCHITECTURES, f"{source}: training.factorial.architectures", "family of the architecture table")
    if len(training["sizes"]) > 1:
        raise ReciteError(
            f"{source}: training.factorial compares models of one size, but training.sizes has "
            f"{', '.join(training['sizes'])}; keep one."
        )


def _check_shape(shape: Shape, place: str) -> None:
    if shape.width % shape.heads:
        raise ReciteError(
            f"{place}: {shape.heads} heads do not divide width {shape.width}; "
            "choose a width that is a multiple of the heads."
        )
    if shape.width // shape.heads % 8:
        raise ReciteError(
            f"{place}: heads of width {shape.width // shape.heads} cannot be rotated by "
            "every family; choose width / heads as a multiple of 8."
        )


def check_sampling(config: Mapping[str, Any], used: Collection[str], corpora: Mapping[str, Any], source: str) -> None:
    """The sampled domains are there; of a corpus with controls these are sampled, and not alone."""
    chosen = config["sampling"].get("domains", {})
    place = f"{source}: sampling.domains"
    if isinstance(chosen, dict):
        for corpus in chosen:
            known(corpus, used, place, "corpus of this study")
    kinds: dict[str, str] = {}
    for corpus in sorted(used):
        domains = corpora[corpus]["domains"]
        names = chosen if isinstance(chosen, list) else chosen.get(corpus, domains)
        for domain in names:
            known(domain, domains, place, f"domain of corpus {corpus}")
            if kinds.setdefault(domain, domains[domain]) != domains[domain]:
                raise ReciteError(
                    f"{place}: {domain} is {kinds[domain]} in one corpus and {domains[domain]} in {corpus}; "
                    "give the two different names in the corpora file."
                )
        found = {domains[domain] for domain in names}
        if "planted" in domains.values() and ("planted" not in found or found == {"planted"}):
            raise ReciteError(f"{place} must hold a planted domain and one that is not; add one of corpus {corpus}.")
        if found == {"held_out"}:
            raise ReciteError(f"{place} must hold a domain that is not held out; add one of corpus {corpus}.")


def check_settings(study: Asked, source: str) -> None:
    """Models with settings of their own are of the study, whatever is measured."""
    scoring = study.config["scoring"]
    for name in scoring["dtypes"]:
        known(name, study.models, f"{source}: scoring.dtypes", "model of this study")
    for name in scoring["shards_per_job_of"]:
        known(name, study.known_models, f"{source}: scoring.shards_per_job_of", "model that there is")


def check_models_of(study: Asked, section: str, source: str) -> None:
    """The models that a section names are of the study."""
    for name in study.config[section].get("models", ()):
        known(name, study.models, f"{source}: {section}.models", "model of this study")


def known(name: str, names: Collection[str], place: str, what: str) -> None:
    """Refuse a name that is not among those that are known."""
    if name not in names:
        listed = ", ".join(sorted(names) if isinstance(names, set) else names)
        raise ReciteError(f"{place}: {name!r} is not a {what} (known: {listed}).")
