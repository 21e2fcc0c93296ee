"""A refresh in a forked process whose libraries are loaded already, so that a kill hits work and not an import.

Belongs here: what the child of a campaign runs; the server that forks imports it once. What reads the environment when
it is imported is left to the child. Does not belong here: any disturbance.
"""

import contextlib
import os
import sys

import dagster_dbt  # noqa: F401
import dbt.cli.main  # noqa: F401
import great_expectations  # noqa: F401
import statsmodels.api  # noqa: F401

import relocation_warehouse.publication.report  # noqa: F401
from relocation_warehouse.command.cli import main


def refresh(environment, said):
    """Run `warehouse refresh` as the command line does, with its words in the file `said`."""
    os.environ.update(environment)
    sys.argv = ["warehouse", "refresh"]
    with (
        said.open("w", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        main()
