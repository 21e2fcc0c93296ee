{#- The long view: one row per household, wave and indicator, missing values included with their reason.
    A branch for each indicator reads one column only; missing values come from where the reason is kept. -#}
{{ config(materialized='view') }}
{%- set households = ref('households') %}
{%- set no_text = 'cast(null as ' ~ text_type() ~ ')' %}
{%- set one_reason = is_missing_for_one_reason('coverage') %}

{% for i in indicators() %}
select
    {{ household_keys() }},
    '{{ i.indicator_id }}' as indicator_id,
    {% if i.type == 'category' -%}
        cast(null as double) as value, {{ adapter.quote(i.indicator_id) }} as code,
    {%- else -%}
        {{ adapter.quote(i.indicator_id) }} as value, {{ no_text }} as code,
    {%- endif %}
    {{ "'" ~ i.unit ~ "'" if i.unit is not none else no_text }} as unit,
    {{ no_text }} as missing_reason
from {{ households }}
where {{ adapter.quote(i.indicator_id) }} is not null
union all
{% endfor %}
select
    {{ household_keys('kept.') }},
    kept.indicator_id,
    cast(null as double) as value,
    {{ no_text }} as code,
    indicators.unit,
    kept.missing_reason
from {{ ref('missing_reasons') }} as kept
inner join {{ source('reference', 'indicators') }} as indicators on kept.indicator_id = indicators.indicator_id
union all
select
    {{ household_keys('households.') }},
    coverage.indicator_id,
    cast(null as double) as value,
    {{ no_text }} as code,
    indicators.unit,
    {{ the_reason('coverage') }} as missing_reason
from {{ households }} as households
inner join {{ ref('coverage') }} as coverage
    on households.survey_id = coverage.survey_id and households.wave = coverage.wave and {{ one_reason }}
inner join {{ source('reference', 'indicators') }} as indicators on coverage.indicator_id = indicators.indicator_id
