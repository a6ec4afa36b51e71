// The run of ../scenario.py with the official TypeScript SDK: `node scenario.mjs URL KEY MODEL`.
import Anthropic, { NotFoundError } from '@anthropic-ai/sdk';
import { VERSION } from '@anthropic-ai/sdk/version';

const LOOKUP = {
  type: 'custom',
  name: 'lookup',
  description: 'Look up an order',
  input_schema: { type: 'object', properties: { n: { type: 'integer' } } },
};

const all = async (pages) => {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
};

const answer = (useId) => ({
  type: 'user.custom_tool_result',
  custom_tool_use_id: useId,
  content: [{ type: 'text', text: 'shipped' }],
});

const [baseURL, apiKey, model] = process.argv.slice(2);
const { beta } = new Anthropic({ baseURL, apiKey, maxRetries: 0, timeout: 20000 });
const seen = { sdk: VERSION };

let agent = await beta.agents.create({ name: 'Fixer', model, tools: [LOOKUP], metadata: { a: '1' } });
agent = await beta.agents.update(agent.id, { version: 1, system: 'Be brief.' });
seen.versions = (await all(beta.agents.versions.list(agent.id))).map((one) => one.version);
const environment = await beta.environments.create({ name: 'plain' });
const session = await beta.sessions.create({ agent: agent.id, environment_id: environment.id, title: 'A run' });
seen.status = [session.status];

const streamed = [];
const previews = new Set();
const stream = await beta.sessions.events.stream(session.id, { event_deltas: ['agent.message'] });
const text = { type: 'text', text: 'lookup' };
await beta.sessions.events.send(session.id, { events: [{ type: 'user.message', content: [text] }] });
for await (const event of stream) {
  if (event.type === 'event_start' || event.type === 'event_delta') {
    previews.add(event.type);
    continue;
  }
  streamed.push(event);
  if (event.type !== 'session.status_idle') continue;
  if (event.stop_reason.type !== 'requires_action') {
    seen.stop_reason = event.stop_reason.type;
    break;
  }
  await beta.sessions.events.send(session.id, { events: event.stop_reason.event_ids.map(answer) });
}
seen.streamed = streamed.map((one) => [one.id, one.type]);
seen.previews = [...previews].sort();
seen.texts = streamed
  .filter((one) => one.type === 'agent.message')
  .flatMap((one) => one.content.map((part) => part.text));
const after = streamed[2].id;
seen.resumed = [];
for (const how of [{ headers: { 'Last-Event-ID': after } }, { query: { after } }]) {
  const found = [];
  for await (const event of await beta.sessions.events.stream(session.id, {}, how)) {
    found.push([event.id, event.type]);
    if (event.type === 'session.status_idle' && event.stop_reason.type === 'end_turn') break;
  }
  seen.resumed.push(found);
}
const events = await all(beta.sessions.events.list(session.id, { limit: 2 }));
seen.listed = events.map((one) => [one.id, one.type]);
seen.status.push((await beta.sessions.retrieve(session.id)).status);
seen.sessions = (await all(beta.sessions.list({ limit: 1 }))).map((one) => one.title);
seen.threads = (await all(beta.sessions.threads.list(session.id))).map((one) => one.status);
seen.status.push((await beta.sessions.archive(session.id)).status);
await beta.environments.archive(environment.id);
seen.archived = (await beta.agents.archive(agent.id)).archived_at !== null;
seen.left = [];
for (const one of [beta.sessions, beta.environments, beta.agents]) seen.left.push((await all(one.list())).length);
try {
  await beta.agents.retrieve('agent_none');
} catch (error) {
  if (error instanceof NotFoundError) seen.error = error.error.error.type;
}
console.log(JSON.stringify(seen));
