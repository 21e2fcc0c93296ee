{#- What the linter needs in place of the macros that are written from the catalog, or loop over it. -#}
{% macro catalog_indicators() %}{% endmacro %}
{% macro default_scheme_members() %}{% endmacro %}
{% macro household_key_columns() %}{% endmacro %}
{% macro sampling_column_names() %}{% endmacro %}
{% macro missing_reasons() %}{% endmacro %}
{% macro minimum_answered_share() %}0.5{% endmacro %}
{% macro household_keys(prefix='') %}{{ prefix }}survey_id, {{ prefix }}household_id{% endmacro %}
{% macro sampling_columns(prefix='') %}{{ prefix }}weight{% endmacro %}
