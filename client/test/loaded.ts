/**
 * All that is loaded when it is needed is there, as in a page that has needed it before: most tests
 * are of what happens then, and in which order.
 */
import { guards, refusals, tabParts } from '../src/part.js';

// A test may be of what cannot be loaded.
await Promise.allSettled([guards.load(), refusals.load(), tabParts.load()]);
