/** What the processes that play the clients have in common. */

/** Clients of one address: so few that a free port is soon found. */
const PORTS = 5_000;

// Whoever started it is gone.
process.once('disconnect', () => process.exit());

export function tell(message) {
  process.send(message);
}

/** A bare broadcast hands on the questions of other clients; if all answered all, nothing else would be heard. */
export function answerStep1(socket, dialect) {
  if (dialect.answersJoins) socket.send(dialect.nothing);
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * One address has no more than some 28,000 ports for those who call, and those of the
 * last minute are not free yet. On Linux all of 127/8 is this machine: each process
 * takes addresses of its own. @returns undefined for any
 */
export function addressOf(index) {
  if (process.platform !== 'linux') return undefined;
  const block = Math.floor(index / PORTS);
  return `127.${1 + (process.pid % 250)}.${Math.floor(process.pid / 250) % 250}.${1 + block}`;
}
