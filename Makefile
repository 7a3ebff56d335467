# `make run` and `make test` need Python 3.11 or newer, make and a network; everything they install stays in .venv.

PYTHON ?= python3
ARGS ?=

venv := .venv
python := $(venv)/bin/python
installed := $(venv)/.installed
tried := $(venv)/.native-tried

.DEFAULT_GOAL := help
.PHONY: help run test test-slow test-versions oracle native bench accuracy published readme check format lock schema course docs clean

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(installed) $(tried) ## train LeNet-5 on the handwritten digits; ARGS='optimizer=sgd' overrides the configuration
	@$(python) -m runner $(ARGS)
	@echo
	@echo "Next:"
	@echo "  $(python) -m runner ui                                      see runs, curves and figures in MLflow"
	@echo "  $(python) -m runner optimizer.learning_rate=0.01            change a value"
	@echo "  $(python) -m runner describe model.layers.0.conv.filters=12 see what a change costs"
	@echo "  $(python) -m runner -m optimizer=adam,momentum seed=0,1,2   sweep"

test: $(installed) ## run the tests in two processes; ARGS='-k geometry' picks some
	@$(python) -m pytest -q -n 2 --dist loadfile $(ARGS)

test-slow: $(installed) ## run the slow tests as well
	@$(python) -m pytest -q -m "slow or not slow" $(ARGS)

test-versions: ## run the tests on the oldest and the newest Python and JAX; ARGS='newest tests/test_train.py' picks some
	@$(PYTHON) tests/versions.py $(ARGS)

oracle: $(installed) ## install PyTorch and onnxruntime, against which tests hold this project's numbers and else skip
	@$(python) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --no-build-isolation \
		--editable '.[oracle,onnx,depth]'

native: $(installed) ## build the native convolutions, for which Linux on x86-64 and a C++ compiler are needed
	@$(python) -c "import tomllib; print(*tomllib.load(open('native/pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" > $(venv)/native.txt
	@$(python) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --requirement $(venv)/native.txt \
		$(shell command -v cmake > /dev/null || echo cmake)
	@rm -rf native/dist
	@$(python) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir native/dist ./native
	@$(python) -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall native/dist/*.whl
	@touch $(tried)

bench: $(installed) ## measure speed, in about an hour: MNIST=FOLDER CIFAR=FOLDER_OR_ZIP; installs the peers
	@$(python) -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[bench]'
	@$(python) benchmarks/startup.py
	@$(python) benchmarks/whole.py
	@$(python) benchmarks/tracking.py --root "$(MNIST)"
	@$(python) benchmarks/throughput.py --mnist "$(MNIST)" --cifar "$(CIFAR)"
	@$(python) benchmarks/sweep.py digits
	@$(python) benchmarks/sweep.py mnist --root "$(MNIST)" --rounds 1
	@$(python) benchmarks/native.py
	@$(python) benchmarks/streaming.py
	@$(python) benchmarks/decoding.py --peers-python "$(python)"
	@$(python) benchmarks/hosts.py
	@$(python) benchmarks/thousand.py
	@$(python) benchmarks/duplicates.py data="$(CIFAR)"
	@$(python) benchmarks/page_speed.py
	@$(MAKE) --silent readme

accuracy: $(installed) ## measure the README's accuracies, in about two hours: MNIST=FOLDER CIFAR=FOLDER_OR_ZIP
	@$(python) benchmarks/accuracy.py --mnist "$(MNIST)" --cifar "$(CIFAR)"
	@$(MAKE) --silent readme

published: $(installed) ## repeat published results, in some hours: MNIST=FOLDER
	@$(python) benchmarks/published.py --mnist "$(MNIST)"
	@$(MAKE) --silent readme

readme: $(installed) ## write the measured numbers into the pages that show them
	@$(python) benchmarks/page.py
	@$(python) benchmarks/readme.py

check: $(installed) ## formatting, lint and types, as CI checks them
	$(venv)/bin/ruff format --check .
	$(venv)/bin/ruff check .
	$(venv)/bin/mypy runner

format: $(installed) ## format the code, and mend what the linter can mend
	$(venv)/bin/ruff format .
	$(venv)/bin/ruff check --fix .

schema: $(installed) ## write the JSON Schema of the configuration to schema/
	@$(python) -m runner schema

course: $(installed) ## run every command of docs/course.md and make its pictures again; ARGS='boat curve' picks some
	@$(python) docs/make_course.py $(ARGS)

docs: $(installed) ## build the site of docs/ in build/site, which opens by double click; needs no network
	@$(python) tests/language_pages.py
	@NO_MKDOCS_2_WARNING=1 $(python) -m mkdocs build
	@echo "build/site/index.html"

lock: $(installed) ## pin the dependencies of pyproject.toml in requirements.lock; ARGS=--upgrade takes the newest
	@$(python) -m pip install --quiet uv
	$(venv)/bin/uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 --quiet --no-annotate \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS) -o requirements.lock

clean: ## remove .venv, caches and built packages; outputs/ stays
	rm -rf $(venv) .versions build dist native/build native/dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find runner tests hydra_plugins benchmarks -name __pycache__ -prune -exec rm -rf {} +

# Made again only when what it installs has changed.
$(installed): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "convrunner needs Python 3.11 or newer; name one as in: make run PYTHON=python3.12" >&2; exit 1; }
	@test -x $(python) || { echo "Making $(venv)"; $(PYTHON) -m venv $(venv) || { rm -rf $(venv); exit 1; }; }
	@echo "Installing the pinned dependencies into $(venv) (about a minute or two the first time)"
	@$(python) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(python) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Once, and again when its sources change: a run goes on without it.
$(tried): $(installed) native/pyproject.toml native/CMakeLists.txt $(wildcard native/src/* native/convrunner_native/*.py)
	@if [ "$$(uname -sm)" = "Linux x86_64" ] && command -v c++ > /dev/null; then \
		echo "Building faster convolutions (under a minute, once)"; \
		PIP_RETRIES=1 $(MAKE) --silent native > $(venv)/native.log 2>&1 \
			|| echo "They did not build, and the portable ones serve; $(venv)/native.log says why"; \
	fi
	@touch $@
