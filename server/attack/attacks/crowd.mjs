/** Those who come, and come again, and those who come and say nothing. */
import { connect } from 'node:net';
import { sleep } from '../../bench/helper.mjs';

const LANES = 16;
const ROOM = 'crowded';
const SILENT = 1_000;
const SLOW = 1_000;
const BYTE_MS = 100;
/** A request has 10 s to arrive; the server looks every 2.5 s. */
const CUT_OFF_MS = 14_000;
const HEADER = 'GET /ws/crowded HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ';

export const CROWD = [
  {
    id: 'crowd/one-address',
    title: 'upgrades at full speed, all from one address',
    must: ['refused 429'],
    expects: ['entered'],
    async attack(attacker) {
      // A burst of 500, 20 that are earned each second meanwhile, and what is on its way.
      const began = performance.now();
      const most = () => 500 + (20 * (performance.now() - began)) / 1_000 + 100;
      const isTooOften = () => attacker.counted('entered') > most();
      const isEnough = () => attacker.counted('refused 429') > 0 || isTooOften();
      const enter = async (lane) => {
        const user = `crowd-${lane}`;
        const peer = await attacker.connect(attacker.room(ROOM), { user });
        if (peer === undefined) return;
        attacker.count('entered');
        peer.cut();
      };
      await attacker.lanes(LANES, enter, isEnough);
      if (isTooOften()) attacker.problem('one address entered too often');
    },
  },
  {
    id: 'crowd/many-addresses',
    title: 'upgrades at full speed, each from another address',
    must: ['entered'],
    async attack(attacker) {
      let address = 0;
      await attacker.lanes(LANES, async (lane) => {
        const user = `crowd-${lane}`;
        const from = attacker.address(address++);
        const peer = await attacker.connect(attacker.room(ROOM), { user, address: from });
        if (peer === undefined) return;
        attacker.count('entered');
        peer.cut();
      });
    },
  },
  {
    id: 'crowd/without-token',
    title: 'upgrades at full speed without a token, each from another address',
    must: ['refused 401'],
    async attack(attacker) {
      let address = 0;
      await attacker.lanes(LANES, async () => {
        const from = attacker.address(address++);
        await attacker.connect(attacker.room(ROOM), { token: null, address: from });
      });
    },
  },
  {
    id: 'crowd/silent',
    title: `${SILENT} sockets that say nothing, ${SLOW} that say a byte at a time`,
    must: ['cut off'],
    async attack(attacker) {
      const { hostname, port } = new URL(attacker.url);
      const cutOff = [];
      const open = () => {
        const socket = connect({ host: hostname, port: Number(port) });
        cutOff.push(
          new Promise((resolve) => {
            socket.on('data', (bytes) => attacker.heard(bytes.toString('latin1')));
            socket.on('error', () => undefined);
            socket.once('close', () => {
              attacker.count('cut off');
              resolve();
            });
          }),
        );
        return socket;
      };
      const slow = [];
      while (cutOff.length < SILENT + SLOW && !attacker.isOver) {
        for (let i = 0; i < 20; i++) {
          const socket = open();
          if (cutOff.length % 2 === 0) slow.push(socket);
        }
        await sleep(1);
      }
      let sent = 0;
      const timer = setInterval(() => {
        const byte = HEADER[sent++] ?? 'x';
        for (const socket of slow) if (socket.writable) socket.write(byte);
      }, BYTE_MS);
      attacker.state = { cutOff, timer };
    },
    async after(attacker) {
      const { cutOff, timer } = attacker.state;
      await Promise.race([Promise.all(cutOff), sleep(CUT_OFF_MS)]);
      clearInterval(timer);
      const left = cutOff.length - attacker.counted('cut off');
      if (left > 0) attacker.problem(`${left} of ${cutOff.length} were not cut off`);
    },
  },
];
