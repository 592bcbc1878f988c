/*
materialization: view
tags: [daily]
owner: analytics
description: >
  The region of each state of the USA, as the US Census Bureau has them: its Midwest is north, its
  Northeast is east.
columns:
  state: { description: Two letters., tests: [unique, not_null] }
  region:
    description: 'A bit: north 1, south 2, east 4, west 8.'
    tests: [not_null, { accepted_values: [1, 2, 4, 8] }]
tests:
  # Fifty states and the District of Columbia.
  - row_count: { min: 51, max: 51 }
dialect: portable
*/
SELECT
  state,
  region
FROM (
  VALUES
    ('IA', 1), ('IL', 1), ('IN', 1), ('KS', 1), ('MI', 1), ('MN', 1),
    ('MO', 1), ('ND', 1), ('NE', 1), ('OH', 1), ('SD', 1), ('WI', 1),
    ('AL', 2), ('AR', 2), ('DC', 2), ('DE', 2), ('FL', 2), ('GA', 2),
    ('KY', 2), ('LA', 2), ('MD', 2), ('MS', 2), ('NC', 2), ('OK', 2),
    ('SC', 2), ('TN', 2), ('TX', 2), ('VA', 2), ('WV', 2),
    ('CT', 4), ('MA', 4), ('ME', 4), ('NH', 4), ('NJ', 4), ('NY', 4),
    ('PA', 4), ('RI', 4), ('VT', 4),
    ('AK', 8), ('AZ', 8), ('CA', 8), ('CO', 8), ('HI', 8), ('ID', 8),
    ('MT', 8), ('NM', 8), ('NV', 8), ('OR', 8), ('UT', 8), ('WA', 8), ('WY', 8)
) AS states (state, region)
