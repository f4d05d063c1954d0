/** What a page needs only once a server has refused something, or there is much to send, and loads then. */
export { cut } from './cut.js';
export { follow, refuse, revert } from './revert.js';
export { Reverting } from './reverting.js';
