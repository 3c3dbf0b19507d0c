"""`python -m jobs.demo`."""

import sys

from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main

if __name__ == "__main__":
    exit_at_interrupt()  # before imports that take seconds

    from jobs.demo import main

    sys.exit(run_main(main))
