/** Requests for an upgrade: as clients make them, and as nobody does. */
import { mutate } from '../test/mutate.js';
import type { Dice } from '../test/seeded.js';
import type { Sender } from './corpus.js';
import { aBadToken, aShortToken, signed, tokenFor } from './tokens.js';

export interface Upgrade {
  readonly kind: string;
  readonly bytes: Buffer;
  /** The statuses that it has to be answered with; undefined: nobody knows. */
  readonly statuses: readonly number[] | undefined;
}

type Header = readonly [name: string, value: string];

/** A path that leads to the room, and headers that ask for it. */
interface Request {
  path: string;
  headers: Header[];
}

export function aRightUpgrade(sender: Sender, dice: Dice): Upgrade {
  const isShort = dice.chance(0.02);
  const access = dice.chance(0.15) ? 'read' : 'write';
  const token = isShort
    ? aShortToken(sender.prefix, sender.user)
    : tokenFor(sender.prefix, sender.user, access);
  const { request, kind } = asked(sender, token, dice);
  // A short one may be over before it is looked at.
  const statuses = isShort ? [101, 401] : [101];
  return { kind: `${kind}, ${isShort ? 'short' : access}`, bytes: written(request), statuses };
}

/** Right but for who asks. */
export function anUninvitedUpgrade(sender: Sender, dice: Dice): Upgrade {
  const { prefix, user } = sender;
  const token = dice.pick([
    undefined,
    aBadToken(prefix, user, dice),
    tokenFor('elsewhere/', user),
    signed({ sub: user, rooms: { '*': 'write', [roomName(sender)]: 'none' } }),
  ]);
  const { request } = asked(sender, token, dice);
  return { kind: 'uninvited', bytes: written(request), statuses: [401, 403] };
}

/** Wrong as a request. */
export function aWrongUpgrade(sender: Sender, dice: Dice): Upgrade {
  const { request } = asked(sender, tokenFor(sender.prefix, sender.user), dice);
  if (dice.chance(0.4)) {
    const other = written(asked(sender, undefined, dice).request);
    return {
      kind: 'bent request',
      bytes: Buffer.from(mutate(written(request), other, dice)),
      statuses: undefined,
    };
  }
  if (dice.chance(0.3))
    return {
      kind: 'wrong path',
      bytes: written({ ...request, path: aWrongPath(sender, dice) }),
      statuses: undefined,
    };
  const bytes = dice.pick(WRONGS)(request, dice);
  return {
    kind: 'wrong request',
    bytes: typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes,
    statuses: undefined,
  };
}

export function roomName({ prefix, room }: Sender): string {
  return `${prefix}${room}`;
}

/** In one of the dialects, the token in one of its places. */
function asked(
  sender: Sender,
  token: string | undefined,
  dice: Dice,
): { request: Request; kind: string } {
  const dialect = dice.pick([
    [],
    ['cowrite.v1'],
    ['cowrite.v1'],
    ['of-somebody-else'],
    ['y', 'cowrite.v1'],
  ]);
  const place = dice.pick(['query', 'subprotocol', 'header'] as const);
  const protocols =
    token !== undefined && place === 'subprotocol'
      ? [...dialect, `cowrite.token.${token}`]
      : dialect;
  // An empty name or a comma is for aWrongUpgrade.
  const headers: Header[] = [
    ['Host', '127.0.0.1'],
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    [
      'Sec-WebSocket-Key',
      Buffer.from(Array.from({ length: 16 }, () => dice.below(256))).toString('base64'),
    ],
    ['Sec-WebSocket-Version', '13'],
    // Each is somebody else: who was closed for good is not let in at once (LIM-16).
    ['User-Agent', `attacker ${dice.below(2 ** 32)}`],
  ];
  if (protocols.length > 0) headers.push(['Sec-WebSocket-Protocol', protocols.join(', ')]);
  if (token !== undefined && place === 'header') headers.push(['Authorization', `Bearer ${token}`]);
  const query =
    token !== undefined && place === 'query' ? `?token=${encodeURIComponent(token)}` : '';
  const path = `/ws/${encodeURIComponent(roomName(sender))}${query}`;
  return {
    request: { path, headers },
    kind: dialect.includes('cowrite.v1') ? 'cowrite.v1' : 'y-websocket',
  };
}

function written({ path, headers }: Request, line = `GET ${path} HTTP/1.1`, end = '\r\n'): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}`);
  return Buffer.from([line, ...lines, '', ''].join(end), 'latin1');
}

function aWrongPath({ prefix }: Sender, dice: Dice): string {
  return dice.pick([
    '/ws/',
    '/ws',
    '/',
    '*',
    '//ws/witness',
    '/ws/../ws/witness',
    '/ws/..%2fwitness',
    '/ws/%2e%2e/witness',
    '/ws/%zz',
    '/ws/%ff%fe',
    '/ws/%00',
    '/ws/__proto__',
    `/ws/${encodeURIComponent(prefix)}${'x'.repeat(300)}`,
    `/ws/${encodeURIComponent(`${prefix}*`)}`,
    `/ws/${encodeURIComponent(`${prefix}e\u0301`)}?token=a&token=b`,
    'http://evil.example/ws/witness',
    `/ws/${encodeURIComponent(prefix)}?token=${'x'.repeat(17_000)}`,
  ]);
}

const WRONGS: readonly ((request: Request, dice: Dice) => Buffer | string)[] = [
  (request, dice) => written(without(request, dice.pick(request.headers)[0])),
  (request, dice) => {
    const [name, value] = dice.pick(request.headers);
    return written({
      ...request,
      headers: [...request.headers, [name, dice.pick([value, '', 'x'])]],
    });
  },
  (request, dice) => {
    const [name] = dice.pick(request.headers);
    const value = dice.pick([
      '',
      'x',
      '\u00ff\u0001',
      ',,,',
      'x'.repeat(70_000),
      '13, 8',
      'h2c',
      '0',
      '-1',
    ]);
    return written({ ...request, headers: [...without(request, name).headers, [name, value]] });
  },
  (request, dice) => {
    const verb = dice.pick(['POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'PRI', 'get', '']);
    return written(request, `${verb} ${request.path} HTTP/1.1`);
  },
  (request, dice) =>
    written(
      request,
      `GET ${request.path} ${dice.pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.1.1', ''])}`,
    ),
  (request) => written(request, undefined, '\n'),
  (request, dice) => {
    const offer = dice.pick([
      'permessage-deflate',
      'permessage-deflate; client_max_window_bits=99',
      ';;',
      'a, b; c="',
      'x-webkit-deflate-frame',
    ]);
    return written({
      ...request,
      headers: [...request.headers, ['Sec-WebSocket-Extensions', offer]],
    });
  },
  (request, dice) => {
    const offer = dice.pick([
      ',',
      'cowrite.v1,, x',
      'cowrite.v1, cowrite.v1',
      'a b',
      '"quoted"',
      Array.from({ length: 500 }, (_, i) => `p${i}`).join(', '),
      'cowrite.token.',
      'cowrite.token.a, cowrite.token.b',
    ]);
    return written({
      ...request,
      headers: [
        ...without(request, 'Sec-WebSocket-Protocol').headers,
        ['Sec-WebSocket-Protocol', offer],
      ],
    });
  },
  (request, dice) => {
    const origin = dice.pick([
      'http://evil.example',
      'null',
      'http://127.0.0.1',
      'file://',
      '\u00e9',
      'http://127.0.0.1:99999',
    ]);
    return written({ ...request, headers: [...request.headers, ['Origin', origin]] });
  },
  (request, dice) => {
    const headers: Header[] = dice.chance(0.5)
      ? [['Content-Length', dice.pick(['5', '-1', '99999999999999999999', '0'])]]
      : [['Transfer-Encoding', 'chunked']];
    return Buffer.concat([
      written({ ...request, headers: [...request.headers, ...headers] }),
      Buffer.from('5\r\nhello\r\n0\r\n\r\n'),
    ]);
  },
  (request) =>
    Buffer.concat([
      Buffer.from('GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'),
      written(request),
    ]),
  (request, dice) => {
    const bytes = written(request);
    return bytes.subarray(0, dice.below(bytes.length));
  },
  (request) =>
    written({
      ...request,
      headers: [...request.headers, ['X-Forwarded-For', '1.2.3.4, ::1, <script>']],
    }),
];

function without(request: Request, name: string): Request {
  return { ...request, headers: request.headers.filter(([other]) => other !== name) };
}
