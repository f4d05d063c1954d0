/** What a page needs only once a server has refused something, and loads then. */
export { cut } from './cut.js';
export { follow } from './fork.js';
