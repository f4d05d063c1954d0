#!/usr/bin/env node
// A file that is there before anything is built: npm links no command to one that is not.
import '../dist/cli.js';
