-- What a session may cost and what it has cost.

alter table sessions
    add column budget     json,     -- as on the wire; null: none
    add column list_cost  numeric;  -- picodollars (10^-12 of a US dollar); null: some of it has no price
