-- When an event came as client input: its place in the inbox's order. A list that has shown it while it
-- was queued does not show it again at its place in the log, nor miss what was taken in meanwhile.
alter table events add column arrived bigint;
