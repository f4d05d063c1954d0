/**
 * Where the server is, such as `/` or `/cowrite/`. A proxy may show it under a path of its own, of which
 * the server does not know; this script lies in its `admin/assets/` wherever that is.
 */
const script = import.meta.url;

/** Ends with a slash. */
export const base = new URL('../..', script).pathname;
