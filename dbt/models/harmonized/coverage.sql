{#- What each survey says of each indicator in each wave: verdict and evidence of the crosswalk, and the counts. -#}
{{ config(materialized='table', contract={'enforced': true}) }}
{%- set household_waves = ref('household_waves') %}

with counts as (
    {% for i in indicators() %}
    select
        survey_id,
        wave,
        '{{ i.indicator_id }}' as indicator_id,
        count(*) as n_households,
        count({{ adapter.quote(i.indicator_id) }}) as n,
        {%- for reason in var('missing_reasons') %}
        sum(case when {{ adapter.quote(i.indicator_id ~ '__missing') }} = '{{ reason }}' then 1 else 0 end)
            as n_{{ reason }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ household_waves }}
    group by survey_id, wave
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    crosswalk.survey_id,
    crosswalk.region,
    crosswalk.wave,
    crosswalk.wave_order,
    crosswalk.indicator_id,
    crosswalk.is_synthetic,
    crosswalk.status,
    crosswalk.rule,
    crosswalk.evidence,
    cast(counts.n_households as bigint) as n_households,
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
