// An agent as a user of @livekit/agents writes it. It writes down the jobs that it got
// (CONFORMANCE_RECORDS, one JSON object a line), and its jobs run until a file `finish` stands
// beside the records.
import { appendFileSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ServerOptions, cli, defineAgent } from '@livekit/agents';

const records = process.env.CONFORMANCE_RECORDS;

const record = (event, jobId, fields) =>
  appendFileSync(
    records,
    JSON.stringify({ event, job_id: jobId, pid: process.pid, at: Date.now() / 1000, ...fields }) +
      '\n',
  );

export default defineAgent({
  entry: async (ctx) => {
    record('started', ctx.job.id, {
      room: ctx.job.room.name,
      agent_name: ctx.job.agentName,
      dispatch_id: ctx.job.dispatchId,
      metadata: ctx.job.metadata,
      attributes: ctx.job.attributes,
    });
    ctx.addShutdownCallback(async () => record('ended', ctx.job.id, {}));
    const watch = setInterval(() => {
      if (existsSync(join(dirname(records), 'finish'))) {
        clearInterval(watch);
        ctx.shutdown('finished');
      }
    }, 100);
  },
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  cli.runApp(
    new ServerOptions({
      agent: fileURLToPath(import.meta.url),
      agentName: process.env.CONFORMANCE_AGENT ?? 'node',
      loadFunc: async () => 0,
      port: 0,
    }),
  );
}
