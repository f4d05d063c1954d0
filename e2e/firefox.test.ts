import { browserContract } from './browser-contract.js';
import { firefox } from './firefox.js';

browserContract('Firefox', firefox);
