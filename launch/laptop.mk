# A laptop, or one box with GPUs: make -f launch/laptop.mk
# Change (1), (2) and (3), here or in the call: make -f launch/laptop.mk RUN=runs/second
# (1)
SAMPLES ?= shards/generations-*.tar
# (2)
REFERENCES ?= shards/references-*.tar
# (3)
RUN ?= runs/first

export RAY_AUTH_MODE ?= token

.PHONY: evaluate dry-run status
evaluate: .venv/installed ## score, or go on; Ctrl-C lets shards that were begun finish
	.venv/bin/python -m jobs.evaluate conf/masc.yaml samples='$(SAMPLES)' references='$(REFERENCES)' run='$(RUN)'

dry-run: .venv/installed ## look at everything, say what it costs, score nothing
	.venv/bin/python -m jobs.evaluate conf/masc.yaml samples='$(SAMPLES)' references='$(REFERENCES)' run='$(RUN)' dry_run=true

status: .venv/installed ## how far it is, from another terminal
	.venv/bin/python -m jobs.status run='$(RUN)' --watch

.venv/installed:
	$(MAKE) setup
