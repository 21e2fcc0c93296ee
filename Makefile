# Every target installs what it needs first; a fresh machine needs only Python 3.11 to 3.14 and make.
PYTHON ?= python3
BIN := .venv/bin
export DO_NOT_TRACK = 1
export DBT_SEND_ANONYMOUS_USAGE_STATS = false
export GX_ANALYTICS_ENABLED = false
export DAGSTER_HOME = $(CURDIR)/.dagster
# many small matrix factorisations run slower on several BLAS threads
export OPENBLAS_NUM_THREADS ?= 1
# where an environment forbids to keep compiled modules, every process would compile its imports again: seconds each
export PYTHONDONTWRITEBYTECODE =

COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url

# an environment of its own with what is given, and this project in it
define environment
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(@D)
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python $(1)
endef
PROJECT = $(BIN)/uv pip install --quiet --python $(@D)/bin/python --no-deps --no-build-isolation --editable .

# pin what extras add to requirements.lock: the name of the lock, the extras
define lock-extras
	echo "--requirement requirements.lock" > requirements-$(1).lock
	$(COMPILE) --constraint requirements.lock --extra dev $(2) pyproject.toml \
		| grep -vxFf requirements.lock >> requirements-$(1).lock
endef

.PHONY: help refresh test test-fast test-long serve setup lint format demo contract-file lock clean

refresh: setup        ## build everything from the surveys in the checkout and publish it
	$(BIN)/warehouse refresh

test: setup           ## the test suite, without what takes a refresh of its own
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-fast: setup      ## what needs no refresh and no browser, in under two minutes
	$(BIN)/pytest -n 2 --dist loadfile --fast

test-long: setup      ## also what takes a refresh of its own, and longer campaigns (a sample of each is in `make test`)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --long

help:                 ## these lines
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | sort | expand -t 20

serve: setup          ## Dagster UI on 127.0.0.1
	$(BIN)/warehouse serve

setup: .venv/.setup-done

.venv/.setup-done: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --python $(BIN)/python --requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

lint: setup           ## ruff, mypy strict, sqlfluff, yamllint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --disable-progress-bar dbt/models dbt/macros dbt/tests
	$(BIN)/yamllint --strict .

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --disable-progress-bar dbt/models dbt/macros dbt/tests

demo: setup           ## write the made-up demonstration surveys again (they are committed)
	$(BIN)/python -m relocation_warehouse.demonstration

contract-file: setup  ## write down the contract of a new version, with which a test compares the tables
	PYTHONPATH=tests:tests/editions $(BIN)/python tests/editions/test_contract_version.py

lock: setup           ## pin again after a change in pyproject.toml, each file by its hash; the lock names no index
	echo "setuptools==84.2.1" | $(COMPILE) --extra dev --output-file requirements.lock pyproject.toml -

clean:                ## remove what a refresh makes; surveys and catalog stay
	rm -rf data/landing data/warehouse data/published dbt/target dbt/logs

.PHONY: cookbook docs test-clients superset superset-check superset-sample superset-lock

cookbook: setup       ## write the answers and the page of the cookbook again from the published file
	$(BIN)/python -m relocation_warehouse.bi.cookbook

audit: .venv-audit/.setup-done  ## licences of what is installed, and known holes in it (asks a service: needs a network)
	.venv-audit/bin/pip-licenses --python $(BIN)/python --summary --order=count
	.venv-audit/bin/pip-audit --disable-pip --require-hashes --requirement requirements.lock

.venv-audit/.setup-done: .venv/.setup-done
	$(call environment,pip-audit==2.10.1 pip-licenses==5.5.5)
	touch $@

DATA := $(or $(WAREHOUSE_DATA),$(CURDIR)/data)

docs: refresh site    ## the documentation as a site, data/warehouse/docs/site/index.html, with dbt's of the models in one page (site/dbt.html)
	WAREHOUSE_BUILD_DATABASE=$(DATA)/warehouse/build.duckdb $(BIN)/dbt docs generate --static \
		--profiles-dir dbt --project-dir $(DATA)/warehouse/dbt/duckdb
	cp $(DATA)/warehouse/dbt/duckdb/target/static_index.html $(DATA)/warehouse/docs/site/dbt.html

.PHONY: site docs-lock explore explore-edit test-explore explore-lock
EXPLORE := .venv-explore/bin
# marimo looks for a newer release of itself otherwise
export MARIMO_SKIP_UPDATE_CHECK = 1

site: .venv-docs/.setup-done  ## the documentation as a site, without a refresh and without a network
	mkdir -p $(DATA)/warehouse/docs
	$(BIN)/python -m relocation_warehouse.bi.site $(DATA)/warehouse/docs
	cd $(DATA)/warehouse/docs && $(CURDIR)/.venv-docs/bin/zensical build --clean --config-file mkdocs.yml

docs-lock: setup      ## pin the generator of the site again
	echo "zensical==0.0.73" | $(COMPILE) --output-file requirements-docs.lock -

.venv-docs/.setup-done: requirements-docs.lock .venv/.setup-done
	$(call environment,--require-hashes --requirements $<)
	touch $@

explore: .venv-explore/.setup-done refresh  ## questions, SQL, charts and extracts in a notebook on 127.0.0.1 over the published file
	$(EXPLORE)/marimo run notebooks/explore.py --host 127.0.0.1

explore-edit: .venv-explore/.setup-done refresh  ## the same notebook in the editor, as a copy of your own
	test -e notebooks/my-explore.py || cp notebooks/explore.py notebooks/my-explore.py
	$(EXPLORE)/marimo edit notebooks/my-explore.py --host 127.0.0.1

test-explore: .venv-explore/.setup-done  ## the notebook run without a browser, and its server asked for its page
	$(EXPLORE)/pytest tests/explore

explore-lock: setup   ## pin the extra explore again: what it adds to requirements.lock
	$(call lock-extras,explore,--extra explore)

.venv-explore/.setup-done: requirements-explore.lock .venv/.setup-done
	$(call environment,--require-hashes --requirements $<)
	$(PROJECT)
	touch $@

test-clients: refresh ## run the client notes and the cookbook in DuckDB 1.0.0 and newer, each in its own environment
	$(BIN)/python -m relocation_warehouse.bi.clients

superset: .venv-superset/.setup-done refresh        ## the dashboard in Superset on 127.0.0.1
	$(BIN)/python -m relocation_warehouse.bi.superset serve

superset-check: .venv-superset/.setup-done refresh  ## import the dashboard twice and compare every chart with SQL
	$(BIN)/python -m relocation_warehouse.bi.superset check

superset-sample: .venv-superset/.setup-done refresh  ## the same with one value of every filter, in minutes
	$(BIN)/python -m relocation_warehouse.bi.superset check sample

superset-lock: setup  ## pin Superset again after a change in relocation_warehouse/bi/superset/requirements.in
	$(COMPILE) --output-file relocation_warehouse/bi/superset/requirements.lock relocation_warehouse/bi/superset/requirements.in

.venv-superset/.setup-done: relocation_warehouse/bi/superset/requirements.lock .venv/.setup-done
	$(call environment,--require-hashes --requirements $<)
	touch $@

.PHONY: rejection-rates equal-regions oracles bench-analysis bench-extract bench-ingest bench-loop bench-national bench-results

rejection-rates: setup ## how often tests between equal regions reject, and intervals cover; hours at full size
	PYTHONPATH=$(CURDIR) $(BIN)/python tests/analysis/rejection_rates.py

equal-regions: setup  ## how often published tables tell apart pairs of equal regions, drawn from a refreshed warehouse
	PYTHONPATH=$(CURDIR) $(BIN)/python tests/result_tables/equal_regions.py $(DATA) 20

oracles: setup        ## reference figures of R and PSPP again (Debian: r-base-core, r-cran-survey, r-cran-clubsandwich, r-cran-metafor, r-cran-car, r-cran-lavaan, r-cran-psych, r-cran-haven, r-cran-mass, r-cran-sandwich, r-cran-formula, r-cran-ggplot2, r-cran-reshape2, pspp; of R's own archive: oaxaca); tests read the committed ones
	$(BIN)/python tests/oracles/regenerate.py

bench-ingest: setup   ## from a survey's file to harmonised households, beside DuckDB's own copy, up to 3 million households
	$(BIN)/python benchmarks/bench_ingest.py

bench-extract: setup  ## an extract of 100 thousand households to Stata, beside pyreadstat alone (of what is published)
	$(BIN)/python benchmarks/bench_extract.py $(DATA)/published/warehouse.duckdb

bench-loop: setup     ## refreshes after small changes, and the commands that look, as multiples of importing the libraries
	$(BIN)/python benchmarks/bench_loop.py

bench-results: setup  ## each group of results with the demonstration's households once and 500 times
	$(BIN)/python benchmarks/bench_results.py $(DATA)

bench-national: setup ## a whole refresh of 5.2 million household-waves, stage by stage, beside DuckDB's own copy
	$(BIN)/python benchmarks/bench_national.py

bench-analysis: .venv-bench/.setup-done ## time and memory of the one-pass statistics against other libraries, at 100 thousand to 10 million rows
	.venv-bench/bin/python benchmarks/bench_summary.py

.venv-bench/.setup-done: requirements.lock .venv/.setup-done
	$(call environment,--requirements requirements.lock pyfixest==0.60.0 duckreg==0.4.1)
	touch $@

.PHONY: test-report campaign campaign-papers
AXE := .venv/axe-core/package/axe.min.js

test-report: refresh $(AXE)  ## the published report under axe-core in headless Chromium; SCREENSHOTS=docs/screenshots takes them
	$(BIN)/python tests/editions/report_check.py $(or $(WAREHOUSE_DATA),data)/published/report/index.html \
		--axe $(AXE) $(if $(SCREENSHOTS),--screenshots $(SCREENSHOTS))

$(AXE): .venv/.setup-done
	mkdir -p .venv/axe-core
	cd .venv/axe-core && npm pack --silent axe-core@4.14.1 && tar -xzf axe-core-4.14.1.tgz && rm axe-core-4.14.1.tgz
	touch $@

campaign: setup       ## two hundred kills of a refresh, full disks, closed folders and cut files; over an hour on 2 idle cores
	$(BIN)/python tests/editions/campaign.py

.PHONY: mutants attack disclosure-figures

mutants: setup        ## three hundred spoilt surveys: refused by name, or published; half an hour on 2 idle cores
	$(BIN)/python tests/receiving/campaign_of_mutants.py --mutants 300

attack: setup         ## attack the public edition of fifty random surveys by integer programming, and of the shipped ones
	ATTACKED_SURVEYS=50 $(BIN)/pytest -n 2 tests/editions/test_attack.py

disclosure-figures: refresh  ## what the public edition loses, costs and holds, by table and by kind of number
	PYTHONPATH=tests/editions $(BIN)/python tests/editions/figures_of_disclosure.py $(or $(WAREHOUSE_DATA),data)/published

.PHONY: mutation
GROUP ?= analysis survey disclosure publication

mutation: .venv-mutation/.setup-done  ## change the code a little and see whether a test fails, in each GROUP; hours (docs/mutation.md)
	for group in $(GROUP); do nice -n 19 .venv-mutation/bin/python tests/mutation/mutate.py $$group || exit 1; done

.venv-mutation/.setup-done: requirements.lock .venv/.setup-done
	$(call environment,--requirements requirements.lock mutmut==3.8.1 libcst==1.9.0)
	$(PROJECT)
	touch $@

.PHONY: campaign-formats campaign-fuzz
campaign-formats: setup  ## two thousand tables drawn at random, written in every format by other libraries and read back
	cd tests/surveys && PYTHONPATH=$(CURDIR)/tests $(CURDIR)/$(BIN)/python campaign_formats.py --tables 2100

campaign-fuzz: setup     ## five thousand damaged surveys through `warehouse check`: each ends in one answer
	cd tests/surveys && PYTHONPATH=$(CURDIR)/tests $(CURDIR)/$(BIN)/python campaign_fuzz.py --inputs 5200

campaign-papers: setup  ## two hundred simulated papers in each style of practice and with each kind of fault; an hour on 2 idle cores
	cd tests/analysis && ../../$(BIN)/python campaign_of_papers.py

.PHONY: setup-spark test-spark bench-spark spark-lock
SPARK := .venv-spark/bin

setup-spark: .venv-spark/.setup-done  ## an environment of its own for the engine Spark (1.6 GB; Java 17 or newer)

test-spark: .venv-spark/.setup-done  ## the engine Spark on a cluster of its own (as root; Debian: openjdk-17-jre-headless)
	$(SPARK)/pytest tests/spark

bench-spark: .venv-spark/.setup-done  ## a million households through both engines, and all tables compared
	$(SPARK)/python benchmarks/bench_spark.py

spark-lock: setup     ## pin the extra spark again: what it adds to requirements.lock
	$(call lock-extras,spark,--extra spark)

.venv-spark/.setup-done: requirements-spark.lock .venv/.setup-done
	$(call environment,--require-hashes --requirements $<)
	$(PROJECT)
	touch $@

.PHONY: test-services services-lock
SERVICES := .venv-services/bin

test-services: .venv-services/.setup-done  ## the lake and the deployment on real servers (as root; Debian: postgresql, caddy); LONG=1 also backfills
	$(SERVICES)/pytest tests/services $(if $(LONG),--long)

services-lock: setup  ## pin what the extras lake and deployment add
	$(call lock-extras,services,--extra lake --extra deployment)

.venv-services/.setup-done: requirements-services.lock .venv/.setup-done
	$(call environment,--require-hashes --requirements $<)
	$(PROJECT)
	# an earlier DuckLake, to write a lake that has to be upgraded
	$(BIN)/uv pip install --quiet --python $(SERVICES)/python --target .venv-services/ducklake-0.3 \
		duckdb==1.4.4 duckdb-extension-ducklake==1.4.4 duckdb-extension-postgres-scanner==1.4.4
	touch $@
