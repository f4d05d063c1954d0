import { CowriteProvider } from '@cowrite/client';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

/** Dora, at another machine and without a browser: what reaches her has been at the server. */
export class NodeClient {
  readonly #provider: CowriteProvider;

  constructor(server: { readonly url: string }, room: string) {
    const url = `${server.url.replace('http', 'ws')}/ws`;
    this.#provider = new CowriteProvider({ url, room, WebSocket });
    this.#provider.awareness.setLocalStateField('user', { name: 'Dora', color: '#0b7285' });
    onTestFinished(() => this.#provider.destroy());
  }

  get #paragraphs(): Y.XmlFragment {
    return this.#provider.doc.getXmlFragment('default');
  }

  /** A paragraph of its own, on the server's disk. */
  async write(text: string): Promise<void> {
    const paragraph = new Y.XmlElement('paragraph');
    paragraph.insert(0, [new Y.XmlText(text)]);
    this.#paragraphs.push([paragraph]);
    await this.#provider.whenSaved();
  }

  words(): string[] {
    return this.#paragraphs
      .toArray()
      .flatMap((block) =>
        block
          .toString()
          .replace(/<[^>]*>/g, ' ')
          .split(/\s+/),
      )
      .filter((word) => word !== '');
  }

  /** Everybody in the room, by name. */
  people(): string[] {
    const states = [...this.#provider.awareness.getStates().values()];
    return states.map((state) => state.user?.name).sort();
  }
}
