"""What no schema can say: how a study, its corpora, its models and its figures must fit together.

Every check raises ReciteError with one sentence: file, key, and what to do.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from recite.checkpoints.architectures import ARCHITECTURES, Shape
from recite.errors import ReciteError
from recite.study.models import Model

CLAIMS = (
    "scaling",
    "compressibility",
    "frequency",
    "domain_pattern",
    "structural_dominance",
    "family_divergence",
    "bipolar_scores",
    "noise_removed",
    "memorized_recover_less",
    "family_signature",
    "shared_decoding",
    "heads_shared",
)
"""Claims that `recite.comparison.claims.judge` has a statistic for; named here too, as it takes long to import."""
FIGURE_MODULES = Path(__file__).resolve().parent / "figures"
MASK_BITS = 64
"""Bits of the mask in the table of suffixes."""


def check_figures(figures: Mapping[str, Any], figures_file: Path) -> None:
    """Every figure has a function that draws it."""
    for figure in figures:
        if not (FIGURE_MODULES / f"{figure}.py").is_file():
            raise ReciteError(f"{figures_file}: nothing draws {figure}; add {figure}.py to workflow/recite/figures.")


def check_claims(claims: Mapping[str, Any], figures: Collection[str], claims_file: Path) -> None:
    """Every claim has a statistic in the library and a figure that shows it."""
    for name, claim in claims.items():
        known(name, CLAIMS, str(claims_file), "claim with a statistic in workflow/recite/ledger.py")
        known(claim["figure"], figures, f"{claims_file}: {name}.figure", "figure")


def check_corpora(corpora: Mapping[str, Any], corpora_file: Path) -> None:
    """A corpus is built of its own domains, with controls, or read from files whose labels name its domains."""
    for name, corpus in corpora.items():
        if ("build" in corpus) == ("files" in corpus):
            raise ReciteError(
                f"{corpora_file}: {name} must say how it is made (build) or where its files lie (files), one of them."
            )
        planted = [domain for domain, kind in corpus["domains"].items() if kind == "planted"]
        if "files" in corpus:
            _check_files(name, corpus, planted, corpora_file)
            continue
        build = corpus["build"]
        for domain in build["sources"]:
            known(domain, corpus["domains"], f"{corpora_file}: {name}.build.sources", "domain of that corpus")
        source = build["controls"]["source"]
        known(source, build["sources"], f"{corpora_file}: {name}.build.controls.source", "source of that corpus")
        if planted != ["control"]:
            raise ReciteError(
                f"{corpora_file}: {name}.domains must have one domain of kind planted, called control, for the "
                f"texts of build.controls; it has {', '.join(planted) or 'none'}."
            )


def _check_files(name: str, corpus: Mapping[str, Any], planted: list[str], corpora_file: Path) -> None:
    files = corpus["files"]
    if planted:
        raise ReciteError(
            f"{corpora_file}: {name}.domains: {planted[0]} is of kind planted, which only a corpus that is built "
            "here can have; call it structural or free_text."
        )
    if ("domain" in files) == ("path" in files):
        raise ReciteError(
            f"{corpora_file}: {name}.files must find a document's domain in a field (domain) or in its file's path "
            "(path), one of them."
        )
    _check_path(files.get("path"), f"{corpora_file}: {name}.files.path")
    labels = files.get("labels")
    for domain in labels.values() if labels else ():
        known(domain, corpus["domains"], f"{corpora_file}: {name}.files.labels", "domain of that corpus")
    for domain in corpus["domains"]:
        if labels is not None and domain not in labels.values():
            raise ReciteError(
                f"{corpora_file}: {name}.files.labels: none leads to {domain}; add one or drop the domain."
            )


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
        if "files" not in corpora[corpus]:
            raise ReciteError(
                f"{models_file}: {name}.corpus: {corpus} is built for models that are trained here; name a corpus that "
                "lies in files (key 'files')."
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
    if sampling["window"] != "head":
        raise ReciteError(
            f"{source}: sampling.window is {sampling['window']}, but models trained here see only the head of each "
            "document; set it to head."
        )
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


def check_settings(config: Mapping[str, Any], models: Mapping[str, Model], names: Collection[str], source: str) -> None:
    """Models with settings of their own are of the study, and have the disturbed layers.

    `names` are those of all models, of which the length of jobs may be told though the study has not all of them.
    """
    for name in config["scoring"]["dtypes"]:
        known(name, models, f"{source}: scoring.dtypes", "model of this study")
    for name in config["scoring"]["shards_per_job_of"]:
        known(name, names, f"{source}: scoring.shards_per_job_of", "model that there is")
    for stage in ("noise", "recovery", "lens", "ablation"):
        for name in config.get(stage, {}).get("models", ()):
            known(name, models, f"{source}: {stage}.models", "model of this study")
    _check_noise(config, models, source)
    _check_compressibility(config, models, source)
    _check_ablation(config, models, names, source)
    _check_frequency(config, {model.family for model in models.values()}, source)


def _check_frequency(config: Mapping[str, Any], families: Collection[str], source: str) -> None:
    """The section's families are of the study, and `other` is named where it is counted by."""
    section = config.get("frequency")
    if section is None:
        return
    for name in (*section.get("families", ()), *([section["other"]] if "other" in section else [])):
        known(name, families, f"{source}: frequency", "family of this study")
    if "other" in section["countings"] and "other" not in section:
        raise ReciteError(
            f"{source}: frequency.countings has other, but frequency.other does not say whose tokenizer that is; "
            "name a family of this study."
        )


def _check_noise(config: Mapping[str, Any], models: Mapping[str, Model], source: str) -> None:
    """The disturbed layers are there in every model that is disturbed, and recovery is from the noise of the study."""
    if "noise" not in config:
        if "recovery" in config:
            raise ReciteError(
                f"{source}: recovery is from noise, but there is no section noise; add one, or drop recovery."
            )
        return
    layer, strengths = max(config["noise"]["layers"]), config["noise"]["strengths"]
    for stage in ("noise", "recovery"):
        for name in config[stage].get("models", models) if stage in config else ():
            layers = models[name].layers
            if layers is not None and layer >= layers:
                raise ReciteError(
                    f"{source}: noise.layers has {layer}, but {name} has {layers} layers, counted "
                    f"from 0; choose layers that every model of {stage}.models has."
                )
    for alpha in config.get("recovery", {}).get("strengths", ()):
        if alpha not in strengths:
            raise ReciteError(
                f"{source}: recovery.strengths: {alpha} is not one of noise.strengths "
                f"({', '.join(map(str, strengths))}); add it there, or choose one of these."
            )


def _check_ablation(
    config: Mapping[str, Any], models: Mapping[str, Model], names: Collection[str], source: str
) -> None:
    """Settings of single models are of models that there are; layers are cut into jobs where their number is known."""
    section = config.get("ablation")
    if section is None:
        return
    for key in ("rows_per_domain_of", "layers_per_job_of", "batch_rows_of"):
        for name in section[key]:
            known(name, names, f"{source}: ablation.{key}", "model that there is")
    for name in section.get("models", models):
        cut = "layers_per_job" in section or name in section["layers_per_job_of"]
        if cut and models[name].layers is None:
            raise ReciteError(
                f"{source}: ablation.layers_per_job: the number of layers of {name} is not known; add `layers` to its "
                "entry in the models file."
            )


def _check_compressibility(config: Mapping[str, Any], models: Mapping[str, Model], source: str) -> None:
    """The section's models are of the study, and a mask holds every suffix of a context."""
    section, context = config.get("compressibility"), config["sampling"]["context_tokens"]
    if section is None:
        return
    for name in section.get("models", ()):
        known(name, models, f"{source}: compressibility.models", "model of this study")
    if context > MASK_BITS:
        raise ReciteError(
            f"{source}: sampling.context_tokens is {context}, but compressibility keeps one bit for each suffix of a "
            f"context, {MASK_BITS} at most; choose fewer or drop the section compressibility."
        )


def known(name: str, names: Collection[str], place: str, what: str) -> None:
    """Refuse a name that is not among those that are known."""
    if name not in names:
        listed = ", ".join(sorted(names) if isinstance(names, set) else names)
        raise ReciteError(f"{place}: {name!r} is not a {what} (known: {listed}).")
