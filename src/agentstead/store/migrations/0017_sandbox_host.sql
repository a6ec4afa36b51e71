-- Which host a session's files were last used on: a call that ran there when it was lost is not made again.
alter table sandboxes add column host text;
