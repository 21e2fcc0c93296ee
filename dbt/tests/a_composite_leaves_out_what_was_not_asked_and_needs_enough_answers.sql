{#- The composite macro on households small enough to check by hand; any row returned is a failure. -#}
{%- set members = [
    {'indicator_id': 'a', 'weight': 0.5, 'score': 'score_a'},
    {'indicator_id': 'b', 'weight': 0.25, 'score': 'score_b'},
    {'indicator_id': 'c', 'weight': 0.25, 'score': 'score_c'},
] %}
with households as (
    -- all answered: 0.5 * 1.0 + 0.25 * 0.0 + 0.25 * 0.4
    select 'all' as household_id, 1.0 as score_a, 0.0 as score_b, 0.4 as score_c,
        cast(null as varchar) as a__missing, cast(null as varchar) as b__missing, cast(null as varchar) as c__missing,
        0.6 as expected, 3 as expected_n
    union all
    -- c was not asked: (0.5 * 1.0 + 0.25 * 0.0) / 0.75
    select 'not asked', 1.0, 0.0, null, null, null, 'not_asked', 0.5 / 0.75, 2
    union all
    -- a was refused: half of the weight asked is answered, which is just enough
    select 'refused', null, 0.2, 0.4, 'refused', null, null, 0.3, 2
    union all
    -- only c is answered of three asked: a quarter of the weight is too little
    select 'too few', null, null, 0.4, 'blank', 'blank', null, null, 1
    union all
    -- nothing was asked
    select 'nothing', null, null, null, 'not_asked', 'not_asked', 'not_asked', null, 0
),

computed as (
    select
        household_id,
        expected,
        expected_n,
        {{ composite(members) }} as value,
        {{ answered_count(members) }} as n
    from households
)

select household_id, expected, value, expected_n, n
from computed
where
    n <> expected_n
    or (value is null) <> (expected is null)
    or abs(value - expected) > 1e-12
