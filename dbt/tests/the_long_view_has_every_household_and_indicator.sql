{#- The long view takes values from one table and reasons from two others: together they give each household one row for
    each indicator, no more and no less. -#}
with expected as (
    select coalesce(sum(n + n_missing), 0) as n_rows from {{ ref('coverage') }}
),

found as (
    select count(*) as n_rows from {{ ref('indicator_values') }}
)

select expected.n_rows as n_expected, found.n_rows as n_found
from expected
cross join found
where expected.n_rows <> found.n_rows
