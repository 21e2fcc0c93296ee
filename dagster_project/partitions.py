"""Surveys as partitions. A folder under `data/surveys/` becomes one without a reload; nothing else has to be told."""

import dagster as dg

surveys = dg.DynamicPartitionsDefinition(name="surveys")


def register(instance: dg.DagsterInstance, survey_ids: list[str]) -> list[str]:
    """Make these surveys the partitions, as who starts a run does not wait for the sensor; gives them in order."""
    name = str(surveys.name)
    known = instance.get_dynamic_partitions(name)
    instance.add_dynamic_partitions(name, sorted(set(survey_ids) - set(known)))
    for gone in sorted(set(known) - set(survey_ids)):
        instance.delete_dynamic_partition(name, gone)
    return list(instance.get_dynamic_partitions(name))
