/** Waits until a server has nothing left to do: what follows an import is not what is measured. */
import { sleep } from './helper.mjs';

/** Of CPU time a second; a heartbeat costs less. */
const IDLE_SECONDS = 0.03;

export async function untilQuiet(server) {
  for (;;) {
    const before = server.cpuSeconds();
    await sleep(1_000);
    if (server.cpuSeconds() - before <= IDLE_SECONDS) return;
  }
}

/** Asks a crowd, and fails when it fails. */
export async function ask(crowd, command, options) {
  const answer = await crowd.ask({ command, ...options });
  if (answer.error !== undefined) throw new Error(answer.error);
  return answer;
}
