/** What the processes that play the clients have in common. */

/** Clients of one address that a server can tell apart, with some to spare. */
const PORTS = 20_000;

export function tell(message) {
  process.send(message);
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** One loopback address has no more than some 28,000 ports for those who call. */
export function addressOf(index) {
  return `127.0.0.${1 + Math.floor(index / PORTS)}`;
}
