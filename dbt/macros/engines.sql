{#- What differs by engine. Models hold no SQL that only one engine understands; they call these. -#}

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

{#- How many households lack an answer for each reason: a map from reason to count. -#}
{% macro counts_by_reason(column) -%}
    {{ return(adapter.dispatch('counts_by_reason')(column)) }}
{%- endmacro %}

{#- One aggregate instead of one for each reason takes a fifth of the time. -#}
{% macro default__counts_by_reason(column) -%}
histogram({{ column }})
{%- endmacro %}

{% macro spark__counts_by_reason(column) -%}
map(
    {%- for reason in missing_reasons() %}
            '{{ reason }}', sum(case when {{ column }} = '{{ reason }}' then 1 else 0 end){{ ',' if not loop.last }}
    {%- endfor %}
        )
{%- endmacro %}

{% macro count_of_reason(counts, reason) -%}
    {{ return(adapter.dispatch('count_of_reason')(counts, reason)) }}
{%- endmacro %}

{% macro default__count_of_reason(counts, reason) -%}
map_extract_value({{ counts }}, '{{ reason }}')
{%- endmacro %}

{% macro spark__count_of_reason(counts, reason) -%}
{{ counts }}['{{ reason }}']
{%- endmacro %}

{#- A row for each missing value whose reason coverage does not say. -#}
{% macro reasons_by_household(household_waves, coverage) -%}
    {{ return(adapter.dispatch('reasons_by_household')(household_waves, coverage)) }}
{%- endmacro %}

{#- One pass over all households: a branch for each indicator would be planned for half a minute. -#}
{% macro default__reasons_by_household(household_waves, coverage) -%}
select
    {{ household_keys('answers.') }},
    answers.indicator_id,
    answers.missing_reason
from (
    unpivot (
        select
            {{ household_keys() }},
        {%- for i in indicators() %}
            cast({{ adapter.quote(i.indicator_id ~ '__missing') }} as {{ text_type() }})
                as {{ adapter.quote(i.indicator_id) }}{{ ',' if not loop.last }}
        {%- endfor %}
        from {{ household_waves }}
    )
    on
        {%- for i in indicators() %}
        {{ adapter.quote(i.indicator_id) }}{{ ',' if not loop.last }}
        {%- endfor %}
    into name indicator_id value missing_reason
) as answers
inner join {{ coverage }} as coverage
    on
        coverage.survey_id = answers.survey_id
        and coverage.wave = answers.wave
        and coverage.indicator_id = answers.indicator_id
where not ({{ is_missing_for_one_reason('coverage') }})
{%- endmacro %}

{#- The same in Spark's words. -#}
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
