/** One attack, as a process of its own: gets ready, attacks when told to until it is told to stop, and says what it saw. */
import { tell } from '../bench/helper.mjs';
import { Attacker } from './attack.mjs';
import { ATTACKS } from './attacks/index.mjs';

const settings = JSON.parse(process.argv[2]);
const { prepare, attack, after } = ATTACKS.find(({ id }) => id === settings.id);
const attacker = new Attacker(settings);
process.on('uncaughtException', (error) => {
  attacker.problem(error.stack);
});

await attacker.doing(() => prepare?.(attacker));
tell('ready');
process.once('message', async () => {
  process.once('message', () => attacker.stop());
  tell('attacking');
  await attacker.doing(() => attack(attacker));
  // Whoever attacks has to be at it as long as it is measured.
  await attacker.stopped;
  tell('stopped');
  await attacker.doing(() => after?.(attacker));
  tell(attacker.report());
});
