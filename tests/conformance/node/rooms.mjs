// Calls RoomServiceClient of livekit-server-sdk as a backend does. Input and output are as in
// client.mjs: a JSON array of [method, ...arguments], and one of {result} or {error}, in order.
import { RoomServiceClient } from 'livekit-server-sdk';

const input = [];
for await (const chunk of process.stdin) input.push(chunk);

const client = new RoomServiceClient(
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
