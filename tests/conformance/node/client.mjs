// Calls AgentDispatchClient of livekit-server-sdk as a backend does. The calls come as one JSON
// array of [method, ...arguments] on standard input; the answers go out as one JSON array of
// {result} or {error: {name, message, status, code}}, in order.
import { AgentDispatchClient } from 'livekit-server-sdk';

const input = [];
for await (const chunk of process.stdin) input.push(chunk);

const client = new AgentDispatchClient(
  process.env.LIVEKIT_URL,
  process.env.LIVEKIT_API_KEY,
  process.env.LIVEKIT_API_SECRET,
);

const answers = [];
for (const [method, ...rest] of JSON.parse(Buffer.concat(input))) {
  try {
    answers.push({ result: (await client[method](...rest)) ?? null });
  } catch (error) {
    const { name, message, status, code } = error;
    answers.push({ error: { name, message, status, code } });
  }
}
// 64-bit times are BigInt in JavaScript.
console.log(JSON.stringify(answers, (_, value) => (typeof value === 'bigint' ? `${value}` : value)));
