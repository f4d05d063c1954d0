/**
 * Whether the load generator can be believed: on each server it shares a room with
 * real clients for a while. They must show what it typed, letter for letter, and
 * where its cursors are; it must see each keystroke of theirs; and every delivery
 * must be counted.
 */
import { sleep } from './helper.mjs';
import { bounded } from './scope.mjs';
import { EVERYONE, LABELS } from './servers.mjs';
import { stamp } from './wire.mjs';

const ROOM = 'bench-0';
const LOAD = { rooms: 1, people: 4, writers: 3, keys: 20, movers: 4, moves: 5, seconds: 1 };
/** Stamps of authors from here on are of the real clients. */
const STRANGERS = 900;
const KEYSTROKES = 40;
const LIMIT_SECONDS = 30;

/** @returns whether all is well; what is not was printed */
export async function check({ servers = EVERYONE }) {
  let isFine = true;
  for (const name of servers) {
    const outcome = await bounded(LIMIT_SECONDS, (scope) => checkOne(scope, name));
    const problems = outcome.failed === undefined ? outcome.problems : [outcome.failed];
    if (problems.length > 0) isFine = false;
    process.stdout.write(
      problems.length === 0
        ? `The load generator agrees with real clients on ${LABELS[name]}: ${outcome.words}\n`
        : `The load generator is not to be believed on ${LABELS[name]}: ${problems.join('; ')}\n`,
    );
  }
  return isFine;
}

async function checkOne(scope, name) {
  // They are installed only once this runs.
  const { connectReal } = await import('./real-clients.mjs');
  const server = await scope.server({ name });
  const real = await Promise.all([1, 2].map(() => connectReal(name, server.url, ROOM)));
  await scope.own(() => {
    for (const client of real) client.destroy();
  });
  const load = await scope.helper('load.mjs', {
    name,
    urls: [server.url],
    warmUp: 0.2,
    strangers: STRANGERS,
    ...LOAD,
  });
  await load.heard();
  await load.ask('start');
  const typing = real[0];
  for (let i = 0; i < KEYSTROKES; i++) {
    typing.type(stamp(i, STRANGERS));
    await sleep(10);
  }
  await load.heard();
  const seen = await load.heard();
  await caughtUp(real, seen.typed);
  const problems = real.flatMap((client, index) =>
    compare(client, seen.typed).map((words) => `real client ${index + 1} ${words}`),
  );
  if (real[0].text() !== real[1].text()) problems.push('the real clients differ');
  const { received, expected } = seen;
  if (received.update !== expected.update) {
    problems.push(`${received.update} of ${expected.update} deliveries were counted`);
  }
  if (received.awareness === 0 || received.awareness > expected.awareness) {
    problems.push(`${received.awareness} of ${expected.awareness} cursor moves were counted`);
  }
  // A server may put several keystrokes into one message, but each is read once by everybody.
  if (seen.fromStrangers !== KEYSTROKES * LOAD.people) {
    problems.push(
      `of ${KEYSTROKES} keystrokes of a real client ${seen.fromStrangers / LOAD.people} were seen`,
    );
  }
  const letters = seen.typed.reduce((sum, { text }) => sum + text.length, 0);
  return {
    problems,
    words: `${letters} letters, ${received.update} deliveries, ${received.awareness} of ${expected.awareness} cursor moves, ${seen.fromStrangers} of real keystrokes`,
  };
}

/** The last of it may still be on its way. */
async function caughtUp(clients, typed) {
  for (let waited = 0; waited < 2_000; waited += 50) {
    if (clients.every((client) => compare(client, typed).length === 0)) return;
    await sleep(50);
  }
}

function compare(client, typed) {
  const problems = [];
  for (const { id, text, states } of typed) {
    const shown = client.textOf(id);
    if (shown !== text) {
      problems.push(`shows ${shown.length} of the ${text.length} letters that ${id} typed`);
    }
    // Whoever moves is seen at its last place.
    if (states > 0 && client.clockOf(id) !== states) {
      problems.push(`has state ${client.clockOf(id)} of ${states} of ${id}`);
    }
  }
  if (client.hasPending()) problems.push('waits for updates that never came');
  return problems;
}
