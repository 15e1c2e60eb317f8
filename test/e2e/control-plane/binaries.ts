import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** A program and the Go module of this folder that says its version. */
interface Program {
  readonly package: string;
  /** Folder of the go.mod. */
  readonly module: string;
}

const KUBERNETES = import.meta.dirname;
/** A module of its own, because Helm and Kubernetes ask for different versions of client-go. */
const HELM = join(import.meta.dirname, 'helm');

/** A further program is one line here and one in the module's tools.go, then `go mod tidy`. */
const PROGRAMS = {
  etcd: { package: 'go.etcd.io/etcd/server/v3', module: KUBERNETES },
  'kube-apiserver': { package: 'k8s.io/kubernetes/cmd/kube-apiserver', module: KUBERNETES },
  'kube-controller-manager': {
    package: 'k8s.io/kubernetes/cmd/kube-controller-manager',
    module: KUBERNETES,
  },
  kubectl: { package: 'k8s.io/kubernetes/cmd/kubectl', module: KUBERNETES },
  helm: { package: 'helm.sh/helm/v4/cmd/helm', module: HELM },
} as const satisfies Record<string, Program>;

/** A program that `ensureBinaries` can answer. */
export type BinaryName = keyof typeof PROGRAMS;

/**
 * Answers the paths of programs: from the folder `KUBEBUILDER_ASSETS` where they lie there, else
 * built with Go once per version and kept in the user's cache folder.
 * @throws Error whose one line says what to install
 */
export async function ensureBinaries<Name extends BinaryName>(
  names: readonly Name[],
): Promise<Record<Name, string>> {
  const paths: Partial<Record<Name, string>> = {};
  for (const name of names) {
    // One after the other: the linker of kube-apiserver alone fills a small machine.
    paths[name] = (await findAsset(name)) ?? (await findOrBuild(name));
  }
  return paths as Record<Name, string>;
}

async function findAsset(name: BinaryName): Promise<string | undefined> {
  const folder = process.env['KUBEBUILDER_ASSETS'];
  if (folder === undefined || folder === '') return undefined;
  const path = join(folder, name);
  return (await isExecutable(path)) ? path : undefined;
}

async function findOrBuild(name: BinaryName): Promise<string> {
  const program: Program = PROGRAMS[name];
  const [goMod, goSum] = await Promise.all(
    ['go.mod', 'go.sum'].map((file) => readFile(join(program.module, file), 'utf8')),
  );
  const flags = buildFlags(goMod ?? '');
  const key = createHash('sha256')
    .update(JSON.stringify([goMod, goSum, flags, process.platform, process.arch]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheFolder(), key);
  const path = join(folder, name);
  if (await isExecutable(path)) return path;
  await mkdir(folder, { recursive: true });
  // Two processes may build the same program; whichever ends last replaces an equal file.
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    await build(name, program, ['build', ...flags, '-o', unfinished, program.package]);
    await rename(unfinished, path);
  } finally {
    await rm(unfinished, { force: true });
  }
  return path;
}

/** What makes a program tell its version, where its own build script would have said it. */
function buildFlags(goMod: string): readonly string[] {
  const version = /^(?:require)?\s+k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\S+)/m.exec(goMod);
  const helm = /^(?:require)?\s+helm\.sh\/helm\/v4 (v\S+)/m.exec(goMod);
  const variables = {
    'k8s.io/component-base/version.gitVersion': version?.[1],
    'k8s.io/component-base/version.gitMajor': version?.[2],
    'k8s.io/component-base/version.gitMinor': version?.[3],
    // What its clients say of themselves in the user agent.
    'k8s.io/client-go/pkg/version.gitVersion': version?.[1],
    'helm.sh/helm/v4/internal/version.version': helm?.[1],
  };
  const settings = Object.entries(variables).flatMap(([variable, value]) =>
    value === undefined ? [] : [`-X ${variable}=${value}`],
  );
  return ['-mod=readonly', '-trimpath', '-ldflags', ['-s', '-w', ...settings].join(' ')];
}

async function build(name: BinaryName, program: Program, args: readonly string[]): Promise<void> {
  const began = performance.now();
  process.stderr.write(`building ${name} from the Go module proxy (minutes, once) ... `);
  try {
    await runGo(name, program.module, args);
    process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0)} s\n`);
  } catch (error) {
    process.stderr.write('failed\n');
    throw error;
  }
}

async function runGo(name: BinaryName, folder: string, args: readonly string[]): Promise<void> {
  const go = spawn('go', args, {
    cwd: folder,
    env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  go.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
  const code = await new Promise<number | null>((resolve, reject) => {
    go.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        cause.code === 'ENOENT'
          ? new Error(
              `the tests need ${name}: install Go 1.26 or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder that has it`,
              { cause },
            )
          : cause,
      ),
    );
    go.once('close', resolve);
  });
  if (code !== 0) throw new Error(`failed to build ${name} (go ended with ${code}):\n${said}`);
}

function cacheFolder(): string {
  const given = process.env['XDG_CACHE_HOME'];
  const base = given !== undefined && isAbsolute(given) ? given : join(homedir(), '.cache');
  return join(base, 'registry-token-refresher', 'control-plane');
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
