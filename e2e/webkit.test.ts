import { browserContract } from './browser-contract.js';
import { webkit } from './webkit.js';

browserContract('WebKit', webkit);
