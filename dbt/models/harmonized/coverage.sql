{#- What each survey says of each indicator in each wave: verdict and evidence of the crosswalk, and the counts.
    All indicators are counted in one pass; the crosswalk then picks the counts of its row. -#}
{{ config(materialized='table') }}

{%- set counted = ['n'] %}
{%- for reason in var('missing_reasons') %}{% set _ = counted.append('n_' ~ reason) %}{% endfor %}

with counts as (
    select
        survey_id,
        wave,
        wave_order,
        region,
        is_synthetic,
        count(*) as n_households
        {%- for i in indicators() %},
        count({{ adapter.quote(i.indicator_id) }}) as {{ adapter.quote(i.indicator_id ~ '__n') }}
        {%- for reason in var('missing_reasons') %},
        sum(case when {{ adapter.quote(i.indicator_id ~ '__missing') }} = '{{ reason }}' then 1 else 0 end)
            as {{ adapter.quote(i.indicator_id ~ '__n_' ~ reason) }}
        {%- endfor %}
        {%- endfor %}
    from {{ ref('household_waves') }}
    group by survey_id, wave, wave_order, region, is_synthetic
),

chosen as (
    select
        counts.survey_id,
        counts.wave,
        counts.wave_order,
        counts.region,
        counts.is_synthetic,
        counts.n_households,
        crosswalk.indicator_id,
        crosswalk.status,
        crosswalk.evidence
        {%- for count in counted %},
        case crosswalk.indicator_id
            {%- for i in indicators() %}
            when '{{ i.indicator_id }}' then {{ adapter.quote(i.indicator_id ~ '__' ~ count) }}
            {%- endfor %}
        end as {{ count }}
        {%- endfor %}
    from {{ source('reference', 'crosswalk') }} as crosswalk
    inner join counts
        on crosswalk.survey_id = counts.survey_id and crosswalk.wave = counts.wave
)

select
    survey_id,
    wave,
    wave_order,
    region,
    is_synthetic,
    indicator_id,
    status,
    evidence,
    cast(n as bigint) as n,
    cast(n_households - n as bigint) as n_missing
    {%- for count in counted if count != 'n' %},
    cast({{ count }} as bigint) as {{ count }}
    {%- endfor %}
from chosen
