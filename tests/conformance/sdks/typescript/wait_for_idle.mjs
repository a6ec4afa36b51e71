// Two tools of a server for assistants, each a call of its own: `send_message`, and long after it `wait_for_idle`,
// which looks at the clock only when an event arrives: `node wait_for_idle.mjs URL KEY SESSION`.
import Anthropic from '@anthropic-ai/sdk';

const [baseURL, apiKey, session] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0, timeout: 20000 });
const { sessions } = client.beta;

const sendMessage = (text) =>
  sessions.events.send(session, { events: [{ type: 'user.message', content: [{ type: 'text', text }] }] });

const waitForIdle = async (seconds) => {
  const deadline = Date.now() + seconds * 1000;
  const parts = [];
  for await (const event of await sessions.events.stream(session)) {
    if (Date.now() > deadline) return { status: 'timeout', text: parts.join('\n') };
    if (event.type === 'agent.message') parts.push(...event.content.map((block) => block.text));
    if (event.type === 'session.status_idle') return { status: 'idle', text: parts.join('\n') };
    if (event.type === 'session.status_terminated') return { status: 'terminated', text: parts.join('\n') };
  }
  return { status: 'ended', text: parts.join('\n') };
};

const said = [];
for (const text of ['fix it', 'thanks']) {
  await sendMessage(text);
  await new Promise((done) => setTimeout(done, 500)); // the model that calls these tools takes its turn
  said.push(await waitForIdle(10));
}
console.log(JSON.stringify(said));
process.exit(0);
