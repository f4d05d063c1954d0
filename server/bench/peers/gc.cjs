// Loaded into every server whose memory is measured: on SIGUSR2 it collects what is garbage.
require('node:v8').setFlagsFromString('--expose-gc');
const gc = require('node:vm').runInNewContext('gc');
process.on('SIGUSR2', () => gc());
