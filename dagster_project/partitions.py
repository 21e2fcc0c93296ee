"""Surveys as partitions. A folder under `data/surveys/` is a partition; nothing else has to be told."""

import dagster as dg

from survey.folder import list_survey_folders
from warehouse.paths import Paths

surveys = dg.StaticPartitionsDefinition(
    [p.name for p in list_survey_folders(Paths.from_environment().surveys)]
)
