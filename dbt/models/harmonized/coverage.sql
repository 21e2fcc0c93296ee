{#- What each survey says of each indicator in each wave: verdict and evidence of the crosswalk, and the counts.
    All indicators are counted in one pass; the crosswalk then picks the counts of its row. -#}
{{ config(materialized='table') }}

with counts as (
    select
        survey_id,
        wave,
        wave_order,
        region,
        is_synthetic,
        count(*) as n_households
        {%- for i in indicators() %},
        count({{ adapter.quote(i.indicator_id) }}) as {{ adapter.quote(i.indicator_id ~ '__n') }},
        {{ counts_by_reason(adapter.quote(i.indicator_id ~ '__missing')) }}
            as {{ adapter.quote(i.indicator_id ~ '__reasons') }}
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
        crosswalk.evidence,
        crosswalk.evidence_zh
        {%- for counted in ['n', 'reasons'] %},
        case crosswalk.indicator_id
            {%- for i in indicators() %}
            when '{{ i.indicator_id }}' then {{ adapter.quote(i.indicator_id ~ '__' ~ counted) }}
            {%- endfor %}
        end as {{ counted }}
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
    evidence_zh,
    cast(n as bigint) as n,
    cast(n_households - n as bigint) as n_missing
    {%- for reason in missing_reasons() %},
    cast(coalesce({{ count_of_reason('reasons', reason) }}, 0) as bigint) as n_{{ reason }}
    {%- endfor %}
from chosen
