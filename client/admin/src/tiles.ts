/** The figures as tiles, each with its last minutes. */
import { h } from '../../demo/src/dom.js';
import type { Figure } from './figures.js';
import { arrange } from './page.js';
import { sparkline } from './sparkline.js';
import { timeOf } from './words.js';

/** Looks that a line is wide, once there were so many. */
const SLOTS = 60;
/** And at first. */
const FEW = 8;
const NAMES = { near: 'high', bad: 'too high' } as const;

export class Tiles {
  readonly element = h('section', { class: 'tiles', 'aria-label': 'This server' });
  readonly #tiles = new Map<string, HTMLElement>();

  show(figures: readonly Figure[]): void {
    const tiles = figures.map((figure) => {
      const tile = this.#tiles.get(figure.label) ?? h('div', { class: 'tile' });
      this.#tiles.set(figure.label, tile);
      const points = figure.points.slice(-SLOTS);
      tile.dataset.tip = figure.hint;
      for (const level of ['near', 'bad'] as const) {
        tile.classList.toggle(level, figure.level === level);
      }
      tile.classList.toggle('is-last', figure.of !== undefined);
      const notes = [
        // Not by the colour alone.
        ...(figure.level === 'fine' ? [] : [NAMES[figure.level]]),
        ...(figure.note === undefined ? [] : [figure.note]),
        ...(figure.of === undefined ? [] : [`at ${timeOf(figure.of)}`]),
      ];
      tile.replaceChildren(
        h(
          'span',
          { class: 'tile-label' },
          figure.label,
          ...notes.map((note) => h('small', {}, note)),
        ),
        h('span', { class: 'tile-value' }, figure.shown),
        sparkline(points, Math.max(FEW, points.length)),
      );
      return tile;
    });
    arrange(this.element, tiles);
  }
}
