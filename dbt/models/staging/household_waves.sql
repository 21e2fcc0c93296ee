{#- Every household of every survey in every wave: one value and one missing reason per canonical indicator.
    The SELECTs are compiled from the crosswalks. Where the engine keeps what differs between households in a table for
    each wave, a run fills those of the surveys it was asked for, and this model unites all of them. -#}
{{ config(materialized=household_waves_kind(), pre_hook="{{ fill_stored_waves() }}") }}

{%- set _ = [
    source('raw', 'compiled_selects'), source('raw', 'weight_scheme_members'), source('reference', 'indicators')
] %}
{% for compiled in compiled_selects() %}
{{ compiled.sql }}
{{ 'union all' if not loop.last }}
{% endfor %}
