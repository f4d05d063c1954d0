// `npm run build`: installs what is missing and builds what changed.
import { main, setup } from './setup.mjs';

main(setup);
