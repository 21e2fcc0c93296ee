{#- Every household of every survey in every wave: one value and one missing reason per canonical indicator.
    The SELECTs are compiled from the crosswalks; a run rebuilds the surveys it was asked for and leaves the rest. -#}
{{ config(
    materialized=rebuilt_by_survey(),
    incremental_strategy='delete+insert',
    unique_key='survey_id',
    on_schema_change='fail'
) }}

{%- set _ = [
    source('raw', 'compiled_selects'), source('raw', 'weight_scheme_members'), source('reference', 'indicators')
] %}
{% for compiled in compiled_selects() %}
{{ compiled.sql }}
{{ 'union all' if not loop.last }}
{% endfor %}
