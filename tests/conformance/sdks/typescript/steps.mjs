// The steps of ../steps.py with the official TypeScript SDK: `node steps.mjs URL KEY MODEL`.
import assert from 'node:assert/strict';
import Anthropic, { BadRequestError, ConflictError, NotFoundError } from '@anthropic-ai/sdk';
import { VERSION } from '@anthropic-ai/sdk/version';

const TOOLSET = 'agent_toolset_20260401';
const LOOKUP = { type: 'custom', name: 'lookup', description: 'd', input_schema: { type: 'object' } };
const SERVER = { type: 'url', name: 'docs', url: 'https://mcp.example.com/' };
const TOOLS = [
  { type: TOOLSET, configs: [{ name: 'write', permission_policy: { type: 'always_ask' } }] },
  LOOKUP,
  { type: 'mcp_toolset', mcp_server_name: 'docs', default_config: { enabled: false } },
];
const TURN = [
  'user.message', 'session.status_running', 'session.thread_status_running',
  'span.model_request_start', 'agent.thinking', 'agent.message', 'agent.tool_use',
  'span.model_request_end', 'agent.tool_result', 'span.model_request_start', 'agent.message',
  'span.model_request_end', 'session.thread_status_idle', 'session.usage', 'session.status_idle',
];
const IDLE = 'session.status_idle';

const [baseURL, apiKey, model] = process.argv.slice(2);
const { beta } = new Anthropic({ baseURL, apiKey, maxRetries: 0, timeout: 20000 });
const { agents, environments, sessions } = beta;
const { events } = sessions;

const text = (words) => [{ type: 'text', text: words }];
const say = (words) => ({ type: 'user.message', content: text(words) });
const result = (id, words = 'x') => ({ type: 'user.custom_tool_result', custom_tool_use_id: id, content: text(words) });
const confirm = (id, how, more = {}) => ({ type: 'user.tool_confirmation', tool_use_id: id, result: how, ...more });
const interrupt = { type: 'user.interrupt' };
const types = (found) => found.map((one) => one.type);
const ids = (found) => found.map((one) => one.id);
const said = (found) => found.filter((one) => one.type === 'agent.message').flatMap((one) => one.content.map((part) => part.text));
const all = async (pages) => {
  const found = [];
  for await (const one of await pages) found.push(one);
  return found;
};
const refused = async (kind, call, code) => {
  let error = null;
  try {
    await call();
  } catch (raised) {
    error = raised;
  }
  assert.ok(error instanceof kind, `${kind.name} was expected, not ${error}`);
  if (code) assert.equal(error.error.error.details.error_code, code);
};

const agent = await agents.create({ name: 'a', model, tools: TOOLS.slice(0, 2) });
const place = await environments.create({ name: 'e' });
const session = async (more = {}) => sessions.create({ agent: agent.id, environment_id: place.id, ...more });
const send = (made, ...sent) => events.send(made.id, { events: sent });
const listed = (made, query = {}) => all(events.list(made.id, query));

// A stream that can be read in parts: `for await` would close it at its first break.
const open = async (made, query = {}) => {
  const stream = await events.stream(made.id, query);
  const frames = stream[Symbol.asyncIterator]();
  return {
    next: () => frames.next(),
    close: () => stream.controller.abort(),
    until: async (type = IDLE) => {
      const found = [];
      for (;;) {
        const { value, done } = await frames.next();
        assert.ok(!done, 'the stream ended');
        found.push(value);
        if (value.type === type) return found;
      }
    },
  };
};
const last = (found) => found[found.length - 1];

const STEPS = {
  async 1() {
    const made = await agents.create({ name: 'Fixer', model, tools: TOOLS, mcp_servers: [SERVER] });
    assert.equal((await agents.retrieve(made.id)).version, 1);
    assert.deepEqual(types(made.tools), types(TOOLS));
    assert.equal((await agents.update(made.id, { version: 1, name: 'Fixer' })).version, 1);
    assert.equal((await agents.update(made.id, { version: 1, system: 'Be brief.' })).version, 2);
    await refused(ConflictError, () => agents.update(made.id, { version: 1, system: 'Other.' }));
    assert.deepEqual((await all(agents.versions.list(made.id))).map((one) => one.version), [2, 1]);
    assert.notEqual((await agents.archive(made.id)).archived_at, null);
    await refused(BadRequestError, () => sessions.create({ agent: made.id, environment_id: place.id }));
  },
  async 2() {
    const made = await environments.create({ name: 'plain', metadata: { a: '1', b: '2' } });
    assert.equal(made.config.networking.type, 'unrestricted');
    assert.deepEqual((await environments.update(made.id, { metadata: { a: null } })).metadata, { b: '2' });
    await refused(BadRequestError, () => environments.update(made.id, { config: { type: 'self_hosted' } }), 'invalid_config_type_change');
    assert.deepEqual(await environments.delete(made.id), { id: made.id, type: 'environment_deleted' });
    await refused(NotFoundError, () => environments.retrieve(made.id));
  },
  async 3() {
    const made = await session();
    assert.equal(made.status, 'idle');
    const stream = await open(made);
    await send(made, say('plain'));
    const streamed = await stream.until();
    stream.close();
    const found = await listed(made);
    assert.deepEqual(types(found), TURN);
    assert.deepEqual(ids(streamed.slice(1)), ids(found));
    assert.equal((await sessions.retrieve(made.id)).status, 'idle');
  },
  async 4() {
    const made = await session();
    const stream = await open(made);
    await send(made, say('lookup twice'));
    const [first, second] = last(await stream.until()).stop_reason.event_ids;
    await send(made, result(first));
    assert.deepEqual(last(await stream.until()).stop_reason.event_ids, [second]);
    const count = (await listed(made)).length;
    await send(made, result(first, 'other'));
    assert.equal((await listed(made)).length, count);
    await send(made, result(second));
    assert.equal(last(await stream.until()).stop_reason.type, 'end_turn');
    await send(made, say('lookup twice'));
    for (let n = 0; n < 2; n += 1) await send(made, result(last(await stream.until('agent.custom_tool_use')).id));
    while (last(await stream.until()).stop_reason.type !== 'end_turn');
    stream.close();
  },
  async 5() {
    const made = await session();
    const stream = await open(made);
    await send(made, say('ask twice'));
    const [first, second] = last(await stream.until()).stop_reason.event_ids;
    await send(made, confirm(first, 'allow'), confirm(second, 'deny', { deny_message: 'No.' }));
    const found = (await stream.until()).filter((one) => one.type === 'agent.tool_result');
    assert.ok(!found.find((one) => one.tool_use_id === first).is_error);
    const denied = found.find((one) => one.tool_use_id === second);
    assert.ok(denied.is_error && denied.content[0].text.includes('No.'));
    await send(made, say('plain'));
    const free = (await stream.until()).find((one) => one.type === 'agent.tool_use');
    assert.equal(free.evaluated_permission, 'allow');
    stream.close();
    await refused(BadRequestError, () => send(made, confirm(free.id, 'allow')));
  },
  async 6() {
    const made = await session();
    const stream = await open(made);
    await send(made, say('long'));
    const use = last(await stream.until('agent.tool_use'));
    await send(made, interrupt);
    await send(made, say('plain'));
    const found = [];
    while (!said(found).includes('All done.')) found.push(...(await stream.until()));
    stream.close();
    const cut = found.find((one) => one.type === 'agent.tool_result');
    assert.deepEqual([cut.tool_use_id, cut.is_error], [use.id, true]);
    assert.ok(!said(found).includes('Never reached.'));
    assert.equal(last(await listed(made)).type, IDLE);
  },
  async 7() {
    const made = await session();
    const asked = await open(made, { event_deltas: ['agent.message'] });
    const plain = await open(made);
    await send(made, say('plain'));
    const frames = await asked.until();
    assert.ok(!(await plain.until()).some((one) => one.type.startsWith('event_')));
    asked.close();
    plain.close();
    const finals = frames.filter((one) => one.type === 'agent.message');
    assert.deepEqual(frames.filter((one) => one.type === 'event_start').map((one) => one.event.id), ids(finals));
    for (const one of finals) {
      const deltas = frames.filter((each) => each.type === 'event_delta' && each.event_id === one.id);
      assert.ok(deltas.length && one.content[0].text.startsWith(deltas.map((each) => each.delta.content.text).join('')));
    }
    await refused(BadRequestError, () => events.stream(made.id, { event_deltas: ['agent.tool_use'] }));
  },
  async 8() {
    const own = await agents.create({ name: 'paged', model });
    const made = [];
    for (let n = 0; n < 3; n += 1) made.push((await sessions.create({ agent: own.id, environment_id: place.id })).id);
    const some = { agent_id: own.id, limit: 1 };
    assert.deepEqual(ids(await all(sessions.list(some))), [...made].reverse());
    const first = await sessions.list(some);
    const second = await sessions.list({ ...some, page: first.next_page });
    assert.equal(first.prev_page, null);
    assert.deepEqual(ids((await sessions.list({ ...some, page: second.prev_page })).data), ids(first.data));
    await refused(BadRequestError, () => sessions.list({ ...some, order: 'asc', page: first.next_page }));
    const worked = await session({ initial_events: [say('plain')] });
    assert.equal(worked.status, 'running');
    const stream = await open(worked);
    await stream.until();
    stream.close();
    const whole = ids(await listed(worked, { limit: 1000 }));
    assert.deepEqual(ids(await listed(worked, { limit: 1 })), whole);
    assert.deepEqual(ids(await listed(worked, { limit: 2, order: 'desc' })), [...whole].reverse());
  },
  async 11() {
    const made = await session();
    const stream = await open(made);
    await send(made, say('long'));
    await stream.until('agent.tool_use');
    await refused(BadRequestError, () => sessions.archive(made.id));
    await refused(BadRequestError, () => sessions.delete(made.id));
    await send(made, interrupt);
    assert.equal(last(await stream.until()).stop_reason.type, 'end_turn');
    assert.deepEqual(await sessions.delete(made.id), { id: made.id, type: 'session_deleted' });
    assert.equal((await stream.next()).value.type, 'session.deleted');
    assert.ok((await stream.next()).done);
    await refused(NotFoundError, () => sessions.retrieve(made.id));
  },
};

const seen = { sdk: VERSION, passed: [], failed: {} };
for (const [number, step] of Object.entries(STEPS)) {
  try {
    await step();
    seen.passed.push(Number(number));
  } catch (error) {
    seen.failed[number] = String(error.stack).slice(0, 1500);
  }
}
console.log(JSON.stringify(seen));
process.exit(0);
