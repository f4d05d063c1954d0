/** `cowrite export`: a document as a file. */
import { FORMS, type Form } from '../compact/forms.js';
import { inJson } from '../shown.js';
import { readRoom } from '../storage/copy.js';
import { command, EXIT, Failure, wrong } from '../terminal/command.js';
import { withWorkers } from '../terminal/documents.js';
import { explained, writeTo } from '../terminal/files.js';
import { roomOf } from '../terminal/names.js';
import { complain } from '../terminal/output.js';
import { counted } from '../terminal/progress.js';
import { STORAGE_OPTION, storageUrl, withExistingStore } from '../terminal/store.js';

/** As other programs write their files: for whom, the umask says. */
const SHARED = 0o666;

export const exportCommand = command({
  name: 'export',
  summary: 'Writes a document to a file, or to stdout',
  arguments: ['<room>', '[file]'],
  options: {
    format: {
      type: 'string',
      value: FORMS.join('|'),
      help: 'one Yjs update with everything (V1), what it shows as JSON, or its text; update if left out',
    },
    type: { type: 'string', value: 'name', help: 'only this shared type of the document' },
    ...STORAGE_OPTION,
  },
  details: `
  cowrite export minutes minutes.yjs
  cowrite export minutes --format text --type body

The file is there once it is whole and on disk; one before it stays until then. What is
exported as an update can be imported into any room, by cowrite import or by
Y.applyUpdate. An update has no history of who wrote it, and no quarantine: to keep a
store, use cowrite backup.`,
  async run({ values, operands: [room, file = '-'], config }) {
    const form = (values.format ?? 'update') as Form;
    if (!FORMS.includes(form)) throw wrong('export', `--format is one of ${FORMS.join(', ')}`);
    const { type } = values;
    if (type !== undefined && form === 'update') {
      throw wrong('export', '--type needs --format json or text');
    }
    const name = roomOf(room!);
    const copy = await withExistingStore(
      storageUrl(values.storage, config),
      config,
      async (store) => {
        const [head] = await store.heads([name]);
        if (head!.lastSeq === 0) throw new Failure(`there is no room ${inJson(name)}`);
        return await readRoom(store, name);
      },
    );
    if (copy.isDeleted) throw new Failure(`room ${inJson(name)} was deleted`);
    const bytes = await withWorkers(config, (workers) =>
      workers.view(async () => ({
        snapshot: copy.snapshot?.update,
        updates: copy.tail.map(({ update }) => update),
        form,
        type,
      })),
    );
    if (bytes === undefined) throw new Failure(`there is no type ${inJson(type)} in it`);
    await explained(file, () => writeTo(file, [bytes], { mode: SHARED }));
    if (copy.lost === 0) return EXIT.ok;
    complain(`${counted(copy.lost, 'update')} cannot be read: not in it`);
    return EXIT.damage;
  },
});
