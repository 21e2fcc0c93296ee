{#- The long view: one row per household, wave and indicator, missing values included with their reason.
    A branch for each indicator reads one column only; missing values come from where the reason is kept. -#}
{{ config(materialized='view') }}
{%- set households = ref('households') %}
{%- set one_reason = is_missing_for_one_reason('coverage') %}

{% for i in indicators() %}
select
    {{ household_keys() }},
    '{{ i.indicator_id }}' as indicator_id,
    {% if i.type == 'category' -%}
        cast(null as double) as value, {{ adapter.quote(i.indicator_id) }} as code,
    {%- else -%}
        {{ adapter.quote(i.indicator_id) }} as value, cast(null as varchar) as code,
    {%- endif %}
    {{ "'" ~ i.unit ~ "'" if i.unit is not none else 'cast(null as varchar)' }} as unit,
    cast(null as varchar) as missing_reason
from {{ households }}
where {{ adapter.quote(i.indicator_id) }} is not null
union all
{% endfor %}
select
    {{ household_keys('missing.') }},
    missing.indicator_id,
    cast(null as double) as value,
    cast(null as varchar) as code,
    indicators.unit,
    missing.missing_reason
from {{ ref('missing_reasons') }} as missing
inner join {{ source('reference', 'indicators') }} as indicators on missing.indicator_id = indicators.indicator_id
union all
select
    {{ household_keys('households.') }},
    coverage.indicator_id,
    cast(null as double) as value,
    cast(null as varchar) as code,
    indicators.unit,
    {{ the_reason('coverage') }} as missing_reason
from {{ households }} as households
inner join {{ ref('coverage') }} as coverage
    on households.survey_id = coverage.survey_id and households.wave = coverage.wave and {{ one_reason }}
inner join {{ source('reference', 'indicators') }} as indicators on coverage.indicator_id = indicators.indicator_id
