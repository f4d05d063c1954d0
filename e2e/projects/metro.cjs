/** Bundles `native.js` in this folder: `node metro.cjs <package of Metro> <bundle>`. */
const Module = require('node:module');
const { dirname } = require('node:path');

const [, , name, out] = process.argv;

/** The application's `metro.config.js`, as the documentation has it, over what React Native's says. */
function ownConfig({ mergeConfig }, defaults) {
  const load = Module._load;
  Module._load = (asked, ...rest) =>
    asked === '@react-native/metro-config'
      ? { getDefaultConfig: () => defaults, mergeConfig }
      : load(asked, ...rest);
  try {
    return require('./native.config.js');
  } finally {
    Module._load = load;
  }
}

async function main() {
  const Metro = require(name);
  const defaults = await Metro.loadConfig({ cwd: __dirname, resetCache: true, maxWorkers: 1 });
  // What React Native's own configuration says of how packages are found.
  defaults.resolver.resolverMainFields = ['react-native', 'browser', 'main'];
  defaults.resolver.unstable_conditionNames = ['react-native'];
  const config = ownConfig(Metro, defaults);
  const from = { paths: [dirname(require.resolve(name))] };
  config.transformer.babelTransformerPath = require.resolve('metro-babel-transformer', from);
  await Metro.runBuild(config, {
    entry: 'native.js',
    platform: 'android',
    dev: false,
    minify: false,
    out,
  });
  // It may keep caches and watchers of its own open.
  process.exit();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
