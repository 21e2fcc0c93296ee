{#- The catalog as lists for loops. Models name no indicator: they ask these macros which there are. What the lists hold
    is written from the catalog into the project of each warehouse (relocation_warehouse/models/project.py). -#}

{#- Indicators in catalog order: indicator_id, system, dimension, type, unit, direction, minimum, maximum. -#}
{% macro indicators(system=none) -%}
    {%- set wanted = [] -%}
    {%- for i in catalog_indicators() if not system or (i.system == system and i.type != 'category') -%}
        {%- set _ = wanted.append(i) -%}
    {%- endfor -%}
    {{ return(wanted) }}
{%- endmacro %}

{#- Columns that identify a household in a wave and say what kind of row it is. -#}
{% macro household_keys(prefix='') -%}
    {%- for name in household_key_columns() -%}
        {{ prefix }}{{ name }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#- What is known of the wave of each row of a relation, as `waves`; of an unknown wave nothing, which tests refuse. -#}
{% macro with_waves(relation) -%}
left join {{ source('reference', 'waves') }} as waves
    on {{ relation }}.survey_id = waves.survey_id and {{ relation }}.wave = waves.wave
{%- endmacro %}

{#- Columns that say how a household was drawn. -#}
{% macro sampling_columns(prefix='') -%}
    {%- for name in sampling_column_names() -%}
        {{ prefix }}{{ name }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
