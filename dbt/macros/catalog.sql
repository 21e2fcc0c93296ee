{#- The catalog as lists for loops. Models name no indicator: they ask these macros which there are.
    The tables are read while SQL is being written, so they are named as they are; the first model, from which all
    others follow, declares that it depends on them. -#}

{% macro catalog_rows(query) -%}
    {%- if execute -%}
        {%- set result = run_query(query) -%}
        {%- set rows = [] -%}
        {%- for row in result.rows -%}
            {%- set _ = rows.append(row.dict()) -%}
        {%- endfor -%}
        {{ return(rows) }}
    {%- else -%}
        {{ return([]) }}
    {%- endif -%}
{%- endmacro %}

{#- Indicators in catalog order: indicator_id, system, dimension, type, unit, direction, minimum, maximum. -#}
{% macro indicators(system=none) -%}
    {%- set query -%}
select indicator_id, system, dimension, type, unit, direction, minimum, maximum
from reference.indicators
{% if system %}where system = '{{ system }}' and type <> 'category'{% endif %}
order by display_order
    {%- endset -%}
    {{ return(catalog_rows(query)) }}
{%- endmacro %}

{#- Members of the default weight scheme: dimension, indicator_id, direction, weight, dimension_weight. -#}
{% macro default_scheme_members() -%}
    {%- set query -%}
select m.scheme, m.bounds, m.dimension, m.indicator_id, i.direction, m.weight, m.dimension_weight
from raw.weight_scheme_members as m
inner join reference.indicators as i on m.indicator_id = i.indicator_id
where m.is_default
order by m.member_order
    {%- endset -%}
    {{ return(catalog_rows(query)) }}
{%- endmacro %}

{#- SELECTs compiled from the crosswalks: survey_id, wave, sql; where a wave is stored, also stored_as, stored_sql. -#}
{% macro compiled_selects() -%}
    {{ return(catalog_rows(
        'select survey_id, wave, sql, stored_as, stored_sql from raw.compiled_selects order by survey_id, wave_order'
    )) }}
{%- endmacro %}

{#- Statements that fill the tables of the waves of the surveys to rebuild, and of any that has none yet. -#}
{% macro fill_stored_waves() -%}
    {%- for wave in compiled_selects() if wave.stored_as -%}
        {%- set table = api.Relation.create(database=target.database, schema='staging', identifier=wave.stored_as) -%}
        {%- set is_there = adapter.get_relation(table.database, table.schema, table.identifier) -%}
        {%- if not is_there or not var('survey_ids') or wave.survey_id in var('survey_ids') %}
create or replace table {{ table }} as
{{ wave.stored_sql }};
        {%- endif %}
    {%- endfor %}
{%- endmacro %}

{#- Columns that identify a household in a wave and say what kind of row it is. -#}
{% macro household_keys(prefix='') -%}
    {%- for name in ['survey_id', 'household_id', 'wave', 'wave_order', 'region', 'site_id', 'is_synthetic'] -%}
        {{ prefix }}{{ name }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#- Columns that say how a household was drawn. -#}
{% macro sampling_columns(prefix='') -%}
    {%- for name in ['weight', 'stratum_id', 'sampling_unit_id', 'population_units', 'unit_households'] -%}
        {{ prefix }}{{ name }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
