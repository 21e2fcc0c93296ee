{#- What differs by engine. Models hold no SQL that only one engine understands; they call these. -#}

{#- What the households of all waves are: a view over the tables of the waves, or one table. -#}
{% macro household_waves_kind() -%}
    {{ return(adapter.dispatch('household_waves_kind')()) }}
{%- endmacro %}

{% macro default__household_waves_kind() -%}
    {{ return('view') }}
{%- endmacro %}

{#- Parquet files know no transaction that replaces some rows, so all surveys are built anew. -#}
{% macro spark__household_waves_kind() -%}
    {{ return('table') }}
{%- endmacro %}

{#- Text of any length: the generic name for it differs by engine. -#}
{% macro text_type() -%}
    {{ return(adapter.dispatch('text_type')()) }}
{%- endmacro %}

{% macro default__text_type() -%}
    {{ return('varchar') }}
{%- endmacro %}

{% macro spark__text_type() -%}
    {{ return('string') }}
{%- endmacro %}

{#- A row for each missing value whose reason coverage does not say. -#}
{% macro reasons_by_household(household_waves, coverage) -%}
    {{ return(adapter.dispatch('reasons_by_household')(household_waves, coverage)) }}
{%- endmacro %}

{#- A branch for each indicator reads one column only. -#}
{% macro default__reasons_by_household(household_waves, coverage) -%}
{% for i in indicators() %}
select
    {{ household_keys('household_waves.') }},
    coverage.indicator_id,
    cast(household_waves.{{ adapter.quote(i.indicator_id ~ '__missing') }} as {{ text_type() }}) as missing_reason
from {{ household_waves }} as household_waves
inner join {{ coverage }} as coverage
    on
        coverage.survey_id = household_waves.survey_id
        and coverage.wave = household_waves.wave
        and coverage.indicator_id = '{{ i.indicator_id }}'
        and not ({{ is_missing_for_one_reason('coverage') }})
where household_waves.{{ adapter.quote(i.indicator_id ~ '__missing') }} is not null
{{ 'union all' if not loop.last }}
{% endfor %}
{%- endmacro %}

{#- Spark would plan a join for each branch; it takes all reasons of a household apart in one pass. -#}
{% macro spark__reasons_by_household(household_waves, coverage) -%}
select
    {{ household_keys('answers.') }},
    answers.indicator_id,
    answers.missing_reason
from (
    select
        {{ household_keys() }},
        inline(array(
        {%- for i in indicators() %}
            named_struct(
                'indicator_id', '{{ i.indicator_id }}',
                'missing_reason', {{ adapter.quote(i.indicator_id ~ '__missing') }}
            ){{ ',' if not loop.last }}
        {%- endfor %}
        ))
    from {{ household_waves }}
) as answers
inner join {{ coverage }} as coverage
    on
        coverage.survey_id = answers.survey_id
        and coverage.wave = answers.wave
        and coverage.indicator_id = answers.indicator_id
where answers.missing_reason is not null and not ({{ is_missing_for_one_reason('coverage') }})
{%- endmacro %}
