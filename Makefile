# `make run` and `make test` do everything on a machine that has only Python 3.11-3.13 and make.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BOOTSTRAP = $(or $(PYTHON),python3) bootstrap.py

.PHONY: run test oracle bench format goldens locale wheel clean

run:
	@$(BOOTSTRAP) run $(ARGS)

test:
	@$(BOOTSTRAP) test $(ARGS)

oracle:
	@$(BOOTSTRAP) oracle $(ARGS)

bench:
	@$(BOOTSTRAP) bench $(ARGS)

format:
	@$(BOOTSTRAP) prepare
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# NASM's bytes for every guest and every supported form, committed so that the comparison never skips.
goldens:
	@$(BOOTSTRAP) prepare
	.venv/bin/python -m tests.goldens.make

locale:
	@$(BOOTSTRAP) prepare
	.venv/bin/python -m tests.locale_tool

wheel:
	@$(BOOTSTRAP) prepare
	.venv/bin/python -m build --wheel --no-isolation

clean:
	rm -rf .venv out dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
