/** What the command line asks for. */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `npm run bench [-- options] ["part of an id or title"]
  --quick        a small selection in under 3 minutes; exits 1 when a ratio is worse than recorded by more than a quarter
  --record       with --quick: write the ratios as those to compare with
  --check        only the self-check of the load generator against real clients
  --list         what there is, and how long it takes
  --render       write RESULTS.md and the charts anew from results.json
  --capacity "rooms=1000 people=3 writers=1 keys=2 movers=0 moves=0"
                 what such a load asks of a server, by the prices in results.json
  --servers a,b  only these of ws, y-websocket, hocuspocus, cowrite: a trial, as ratios need all
  --seconds n    measure for so long: a trial, not written to the results
  --repeats n    so often: a trial, too
  --out folder   write a trial's results there
`;

export function readArguments(argv = process.argv.slice(2)) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      render: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      capacity: { type: 'string' },
      servers: { type: 'string' },
      seconds: { type: 'string' },
      repeats: { type: 'string' },
      out: { type: 'string' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const isTrial = [values.seconds, values.repeats, values.servers].some(Boolean);
  return {
    ...values,
    only: positionals[0],
    servers: values.servers?.split(','),
    seconds: values.seconds === undefined ? undefined : Number(values.seconds),
    repeats: values.repeats === undefined ? undefined : Number(values.repeats),
    /** Undefined: print only. */
    folder: values.out ?? (isTrial ? undefined : fileURLToPath(new URL('.', import.meta.url))),
  };
}
