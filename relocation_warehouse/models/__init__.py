"""The dbt project of a warehouse: what is committed in `dbt/`, with the models that its surveys and catalog give."""
