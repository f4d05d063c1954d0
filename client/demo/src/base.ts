/**
 * Where this app is, such as `/` or `/cowrite/`. A proxy may show it under a path of its own, of which
 * neither the server nor the build knows; this script lies in a folder of the app wherever that is.
 */
const script = import.meta.url;

/** Ends with a slash. */
export const base = new URL('..', script).pathname;
