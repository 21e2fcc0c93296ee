{#- What each survey says of each indicator in each wave: verdict and evidence of the crosswalk, and the counts. -#}
{{ config(materialized='table') }}
{%- set household_waves = ref('household_waves') %}

with counts as (
    {% for i in indicators() %}
    select
        survey_id,
        wave,
        wave_order,
        region,
        is_synthetic,
        '{{ i.indicator_id }}' as indicator_id,
        count(*) as n_households,
        count({{ adapter.quote(i.indicator_id) }}) as n,
        {%- for reason in var('missing_reasons') %}
        sum(case when {{ adapter.quote(i.indicator_id ~ '__missing') }} = '{{ reason }}' then 1 else 0 end)
            as n_{{ reason }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ household_waves }}
    group by survey_id, wave, wave_order, region, is_synthetic
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    counts.survey_id,
    counts.wave,
    counts.wave_order,
    counts.region,
    counts.is_synthetic,
    counts.indicator_id,
    crosswalk.status,
    crosswalk.evidence,
    cast(counts.n as bigint) as n,
    cast(counts.n_households - counts.n as bigint) as n_missing,
    {%- for reason in var('missing_reasons') %}
    cast(counts.n_{{ reason }} as bigint) as n_{{ reason }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ source('reference', 'crosswalk') }} as crosswalk
inner join counts
    on
        crosswalk.survey_id = counts.survey_id
        and crosswalk.wave = counts.wave
        and crosswalk.indicator_id = counts.indicator_id
