insert into stops (id, workspace_id, agent_id, metadata, reason, created_by, created_at, sessions, interrupted)
select 'stop_01000000000000000000first', workspace_id, null, '{"team": "red"}', 'It ran wild.', 'cli:root',
       '2026-01-01', 2, 1
from sessions order by id limit 1;
update sessions set stopped_by = 'stop_01000000000000000000first'
where id = (select id from sessions order by id limit 1);
