"""Surveys as partitions. A folder under `data/surveys/` is a partition; nothing else has to be told."""

import dagster as dg

from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.survey.folder import list_survey_folders

surveys = dg.StaticPartitionsDefinition(
    [p.name for p in list_survey_folders(Paths.from_environment().surveys)]
)
