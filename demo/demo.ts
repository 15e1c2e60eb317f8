import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { awsError, ecrHost, expectEcr, expectEcrToken } from '../test/fakes/aws.ts';
import {
  CLIENT,
  TENANT,
  expectEntraToken,
  expectExchange,
  refreshToken,
} from '../test/fakes/azure.ts';
import { expectMetadataToken, googleToken } from '../test/fakes/google.ts';
import { Internet } from '../test/fakes/internet.ts';
import { DemoKubernetes } from './kubernetes.ts';

// Shows the built program at work on this machine alone: AWS, Entra ID, ACR, Google and Kubernetes
// are stand-ins on loopback that speak their wire protocols.
const ECR = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
const ACR = 'example.azurecr.io';
const GOOGLE = 'europe-docker.pkg.dev';

const folder = await mkdtemp(join(tmpdir(), 'demo-'));
const internet = await Internet.start([ecrHost('eu-west-1'), ACR, 'login.microsoftonline.com']);
const kubernetes = new DemoKubernetes(['default', 'kube-system', 'team-a', 'team-b', 'team-c']);
const env = await prepare(await kubernetes.start());

try {
  scene('A dry run: everything is tried, nothing is written');
  expectLogins();
  await run(['--dry-run'], 0);
  check(kubernetes.writes === 0, 'the dry run wrote something');

  scene('A run: one login for each registry, one request for each Secret');
  expectLogins();
  await run([], 0);
  check(kubernetes.writes === 4, 'not every namespace has its Secret');

  scene('The same again: all is fresh, so no cloud is asked and nothing is written');
  await run([], 0);
  check(kubernetes.writes === 4, 'the second run wrote something');

  scene('AWS refuses: its login in the Secrets is kept, the others are renewed');
  expectLogins('refused');
  await run(['--force-renew'], 1);
  for (const { data } of kubernetes.secrets.values()) {
    const { auths } = JSON.parse(
      Buffer.from((data as Record<string, string>)['.dockerconfigjson'] ?? '', 'base64').toString(),
    ) as { readonly auths: Record<string, { readonly password: string }> };
    check(auths[ECR]?.password === 'demo-ecr-password', 'a good login was lost');
    check(Object.keys(auths).length === 3, 'a Secret lacks a login');
  }
  console.log('(every Secret still holds the AWS login, and new ones of the others)');
} finally {
  await internet.close();
  kubernetes.stop();
  await rm(folder, { recursive: true, force: true });
}
console.log(`
All of these were stand-ins on this machine. On your own cluster, without writing anything:
  REGISTRIES=${ECR} NAMESPACES=default node dist/main.js --dry-run`);

async function prepare(server: string): Promise<Record<string, string>> {
  const file = (name: string): string => join(folder, name);
  await internet.writeCa(file('ca.pem'));
  await writeFile(file('federated-token'), 'a-federated-token');
  await writeFile(
    file('config.yaml'),
    JSON.stringify({ registries: [ECR, ACR, GOOGLE], namespaces: ['*'] }),
  );
  await writeFile(
    file('kubeconfig'),
    JSON.stringify({
      clusters: [{ name: 'demo', cluster: { server, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'demo', user: {} }],
      contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'demo' } }],
      'current-context': 'demo',
    }),
  );
  return {
    ...internet.env,
    PATH: process.env.PATH ?? '',
    HOME: folder,
    CONFIG: file('config.yaml'),
    KUBECONFIG: file('kubeconfig'),
    NODE_EXTRA_CA_CERTS: file('ca.pem'),
    AWS_ACCESS_KEY_ID: 'AKIADEMO',
    AWS_SECRET_ACCESS_KEY: 'demo',
    AZURE_CLIENT_ID: CLIENT,
    AZURE_TENANT_ID: TENANT,
    AZURE_FEDERATED_TOKEN_FILE: file('federated-token'),
    GCE_METADATA_HOST: internet.plainAddress,
    METADATA_SERVER_DETECTION: 'assume-present',
  };
}

function expectLogins(aws: 'given' | 'refused' = 'given'): void {
  if (aws === 'given')
    expectEcrToken(internet, { region: 'eu-west-1', password: 'demo-ecr-password' });
  else expectEcr(internet, 'eu-west-1', () => awsError(400, 'AccessDeniedException'));
  expectEntraToken(internet, 'demo-entra-token');
  expectExchange(internet, ACR, 'demo-entra-token', () => ({
    body: { refresh_token: refreshToken(ACR) },
  }));
  expectMetadataToken(internet, () => googleToken('demo-google-token'));
}

function scene(title: string): void {
  console.log(`\n── ${title}`);
}

async function run(args: readonly string[], expected: number): Promise<void> {
  console.log(`$ registry-token-refresher ${args.join(' ')}`.trimEnd());
  const child = spawn(process.execPath, ['dist/main.js', ...args], { env, stdio: 'inherit' });
  const [code] = (await once(child, 'close')) as [number];
  internet.verify();
  check(code === expected, `exit code ${code} instead of ${expected}`);
}

function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
