-- Every row says whose it is.

alter table outputs add column workspace_id text collate "C" references workspaces;
update outputs o set workspace_id = s.workspace_id from sessions s where s.id = o.session_id;
alter table outputs alter column workspace_id set not null;
