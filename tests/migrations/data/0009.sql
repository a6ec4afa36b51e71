-- Rows as builds with migration 0009 wrote them.
insert into events (session_id, seq, id, workspace_id, thread_id, type, primary_view, at, fence, payload, arrived)
select session_id, max(seq) + 1, 'sevt_arrived', min(workspace_id), min(thread_id), 'user.message', true,
       max(at), max(fence), '{"id":"sevt_arrived","type":"user.message"}', 7
from events group by session_id order by session_id limit 1;
