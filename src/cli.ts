import { Command, CommanderError, InvalidArgumentError } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { ClusterError } from './cluster.ts';
import { parseConfig } from './config.ts';
import type { Config } from './config.ts';
import { readConfig } from './config-file.ts';
import { ConfigError } from './errors.ts';
import { Log } from './log.ts';
import { instanceFrom } from './ownership.ts';
import { providers } from './providers/index.ts';
import { Redactor } from './redact.ts';
import { refresh } from './refresh.ts';
import type { OwnedConfig } from './refresh.ts';
import type { Report } from './report.ts';
import { reportText } from './report-text.ts';

/** What the program uses of the process: injected, so that a test can stand in for it. */
export type ProgramProcess = Pick<NodeJS.Process, 'argv' | 'env' | 'stdout' | 'stderr' | 'once'>;

interface Flags {
  readonly dryRun: boolean;
  readonly config?: string;
  readonly output?: 'text' | 'json';
  readonly registry: readonly string[];
  readonly namespace: readonly string[];
  readonly forceRenew: boolean;
  readonly timeout: number;
  readonly concurrency: number;
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** How long requests under way may take after the run was told to stop, in milliseconds. */
const GRACE_MS = 10_000;

const EXAMPLES = `
Examples:
  See what a run would do, without writing anything
    $ registry-token-refresher --dry-run --config config.yaml
  One ECR registry for all namespaces, from the environment alone
    $ REGISTRIES=123456789012.dkr.ecr.eu-west-1.amazonaws.com NAMESPACES='*' registry-token-refresher
  Renew now, in one namespace
    $ registry-token-refresher --config config.yaml --namespace team-a --force-renew

Exit codes: 0 all targets good; 1 some are not; 2 wrong input; 3 nothing could be done`;

/** Runs the program and answers its exit code. Never rejects. */
export async function main(program: ProgramProcess): Promise<number> {
  const redactor = new Redactor();
  const write = (stream: 'stdout' | 'stderr', text: string): void => {
    program[stream].write(redactor.redact(text));
  };
  const log = new Log((text) => write('stderr', text), { json: runsInPod(program) });
  let exitCode = 0;
  const command = buildCommand(write, async (flags) => {
    exitCode = await run(flags, program, { redactor, log, write });
  });
  try {
    await command.parseAsync(program.argv);
    return exitCode;
  } catch (error) {
    return explain(error, log);
  }
}

interface Surroundings {
  readonly redactor: Redactor;
  readonly log: Log;
  readonly write: (stream: 'stdout' | 'stderr', text: string) => void;
}

function buildCommand(
  write: Surroundings['write'],
  action: (flags: Flags) => Promise<void>,
): Command {
  const command = new Command('registry-token-refresher')
    .description(packageJson.description)
    .version(packageJson.version)
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => write('stdout', text),
      writeErr: (text) => write('stderr', text),
    });
  command
    .command('run', { isDefault: true })
    .description('fetch the logins that are due and write the Secrets (the default)')
    .option(
      '--dry-run',
      'do everything, the exchanges and the requests included, but write nothing',
      false,
    )
    .option('--config <file>', 'the configuration (else $CONFIG, else $REGISTRIES and $NAMESPACES)')
    .option('--output <format>', 'text or json (else json in a Pod)', parseOutput)
    .option('--registry <host>', 'only Secrets that hold this registry; repeatable', collect, [])
    .option('--namespace <name>', 'only this namespace; repeatable', collect, [])
    .option('--force-renew', 'renew what is not due as well', false)
    .option('--timeout <seconds>', 'end the run after this time', parsePositive, 600)
    .option('--concurrency <number>', 'requests to the API server at a time', parsePositive, 32)
    .option(
      '--kubeconfig <file>',
      'else $KUBECONFIG, ~/.kube/config, or the ServiceAccount of the Pod',
    )
    .option('--context <name>', 'the context of the kubeconfig')
    .addHelpText('after', EXAMPLES)
    .action(action);
  return command;
}

async function run(flags: Flags, program: ProgramProcess, around: Surroundings): Promise<number> {
  const { env } = program;
  const written = await readConfig(flags.config, env);
  const config = parseConfig(written.input, providers);
  checkFilters(flags, config);
  const stop = stopSignals(flags.timeout, program, around.log);
  try {
    const owned = { ...config, instance: instanceFrom(config.instance, env) };
    const report = await refreshCluster(owned, flags, program, around, stop);
    printReport(report, flags, program, around);
    return report.exitCode;
  } finally {
    // A timer left behind would keep the process alive until it fires.
    stop.clear();
  }
}

async function refreshCluster(
  config: OwnedConfig,
  flags: Flags,
  program: ProgramProcess,
  { redactor }: Surroundings,
  { stopping, abort }: StopSignals,
): Promise<Report> {
  // The client is large: a wrong configuration is told before it is loaded.
  const { connect } = await import('./kubernetes-cluster.ts');
  const { cluster, close } = await connect({
    kubeconfig: flags.kubeconfig,
    context: flags.context,
    userAgent: `registry-token-refresher/${packageJson.version}`,
    concurrency: flags.concurrency,
    signal: abort,
    stopping,
  });
  try {
    return await refresh(config, cluster, {
      env: program.env,
      signal: stopping,
      now: () => new Date(),
      redactor,
      dryRun: flags.dryRun,
      forceRenew: flags.forceRenew,
      concurrency: flags.concurrency,
      registries: flags.registry,
      namespaces: flags.namespace,
      onProgress: progressLine(program),
    });
  } finally {
    await close();
  }
}

function printReport(
  report: Report,
  flags: Flags,
  program: ProgramProcess,
  { write, log }: Surroundings,
): void {
  const json = flags.output === 'json' || (flags.output === undefined && runsInPod(program));
  // The text shows each failure beside its registry.
  for (const { registry, credential, error, notice } of json ? report.registries : []) {
    if (error) log.error('login failed', { credential, registry, error });
    if (notice) log.warn('notice', { credential, registry, notice });
  }
  const colour = program.stdout.isTTY && !program.env.NO_COLOR;
  write('stdout', json ? `${JSON.stringify(report)}\n` : reportText(report, { colour }));
}

function explain(error: unknown, log: Log): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof ConfigError) {
    for (const { path, message } of error.problems) log.problem(path, message);
    return 2;
  }
  if (error instanceof ClusterError) {
    log.error('nothing was done', { reason: error.reason, error: error.message });
    return 3;
  }
  const message = error instanceof Error ? error.message : String(error);
  log.error('the program failed; please report this', { error: message });
  return 3;
}

function checkFilters(flags: Flags, config: Config): void {
  const known = new Set(config.credentials.flatMap(({ registries }) => registries));
  const unknown = flags.registry.filter((registry) => !known.has(registry));
  if (unknown.length > 0) {
    throw new ConfigError(
      unknown.map((registry) => ({ path: '--registry', message: `${registry} is not configured` })),
    );
  }
}

interface StopSignals {
  /** No new work may start. */
  readonly stopping: AbortSignal;
  /** Requests under way are given up. */
  readonly abort: AbortSignal;
  readonly clear: () => void;
}

function stopSignals(timeoutSeconds: number, program: ProgramProcess, log: Log): StopSignals {
  const stopping = new AbortController();
  const abort = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const later = (ms: number, action: () => void): void => {
    timers.push(setTimeout(action, ms));
  };
  const stop = (reason: string): void => {
    if (stopping.signal.aborted) return;
    log.warn('stopping: no new work starts', { reason });
    stopping.abort();
  };
  const total = timeoutSeconds * 1000;
  const grace = Math.min(GRACE_MS, total / 5);
  later(total - grace, () => stop(`--timeout ${timeoutSeconds}`));
  later(total, () => abort.abort());
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    program.once(signal, () => {
      stop(signal);
      later(GRACE_MS, () => abort.abort());
    });
  }
  return {
    stopping: stopping.signal,
    abort: abort.signal,
    clear: () => {
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

function progressLine({ stderr }: ProgramProcess): (done: number, total: number) => void {
  if (!stderr.isTTY) return () => {};
  return (done, total) => {
    if (done % 50 === 0 || done === total) {
      stderr.write(done === total ? '\r\u001B[K' : `\r${done} of ${total} Secrets`);
    }
  };
}

function runsInPod({ env }: ProgramProcess): boolean {
  return Boolean(env.KUBERNETES_SERVICE_HOST);
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function parsePositive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError('expected a whole number above 0');
  }
  return value;
}

function parseOutput(text: string): 'text' | 'json' {
  if (text !== 'text' && text !== 'json') throw new InvalidArgumentError('expected text or json');
  return text;
}
