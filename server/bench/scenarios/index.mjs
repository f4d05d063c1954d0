/** All that can be measured, in the order in which it is. */
import capacity from './capacity.mjs';
import curves from './curves.mjs';
import flows from './flows.mjs';
import growth from './growth.mjs';
import instances from './instances.mjs';
import joins from './joins.mjs';
import literature from './literature.mjs';
import memory from './memory.mjs';
import saturation from './saturation.mjs';
import slowReaders from './slow-readers.mjs';

/** Which tables there are, and what stands above each. */
export const GROUPS = {
  typing: 'Typing',
  cursors: 'Cursors',
  joins: 'Joins and reconnects',
  memory: 'Memory and cold documents',
  growth: 'Growth',
  'slow-readers': 'Readers that do not read',
  instances: 'Several instances',
  saturation: 'Saturation',
  literature: 'Loads from the literature',
  curves: 'How costs grow',
  capacity: 'What capacity is reckoned from',
};

/**
 * @typedef {object} Scenario
 * @property {string} id `group/name`
 * @property {string} title what people do
 * @property {string} main the figure that counts, of `figures`
 * @property {object} figures name to label and unit; `isContext` is not compared, `isMore` is better when larger
 * @property {object[]} targets a figure and `timesBare` or `atMost` or `atLeast`
 * @property {string[]} servers who is measured; `notes` says why others are not
 * @property {number[]} [documents] megabytes of those that it needs
 * @property {number} repeats in a full run
 * @property {number | object} lasts seconds that a measurement takes, or by server, for the estimate
 * @property {number} limit seconds that it may take
 * @property {Function} measure resolves to figures by name; `{ skipped }` says why there are none
 */

/** @type {Scenario[]} */
export const SCENARIOS = [
  ...flows,
  ...joins,
  ...memory,
  ...growth,
  ...slowReaders,
  ...instances,
  ...saturation,
  ...literature,
  ...curves,
  ...capacity,
];
