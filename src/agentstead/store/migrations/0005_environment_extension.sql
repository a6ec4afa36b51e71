-- What this platform adds to an environment: its `agentstead` object, null when nothing is set.
alter table environments add column agentstead json;
