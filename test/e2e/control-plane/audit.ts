import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** The user agent of the requests which only tell how far the log is written. */
export const FENCE = 'control-plane-fence';

/** An answer is sent before its line is written: how long that line may take, in milliseconds. */
const SETTLE_MS = 50;

/** A place in the log of requests. */
export type AuditMark = number;

/** One answered request. A watch counts when its answer begins. */
export interface AuditedRequest {
  readonly verb: string;
  readonly uri: string;
  /** Empty where the API server did not know who asked (401). */
  readonly user: string;
  readonly userAgent: string;
  readonly code: number;
  /** When the request was received, in milliseconds since 1970. */
  readonly at: number;
}

/** Logs every answered request once, without bodies, but for what the control plane asks itself. */
export const AUDIT_POLICY = JSON.stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  omitManagedFields: true,
  rules: [
    {
      level: 'None',
      users: ['system:apiserver', 'system:kube-controller-manager', 'system:kube-scheduler'],
    },
    { level: 'None', userGroups: ['system:nodes'] },
    { level: 'Metadata' },
  ],
});

/** What is read of a line of the log. https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/ */
interface AuditEvent {
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly user?: { readonly username?: string };
  readonly userAgent?: string;
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
}

/** Reads a log that the API server writes. */
export interface AuditLog {
  mark(): Promise<AuditMark>;
  since(mark: AuditMark): Promise<AuditedRequest[]>;
}

/** @param ask makes a request of its own to the API server, whose line ends the wait */
export function auditLog(path: string, ask: (uri: string) => Promise<unknown>): AuditLog {
  async function settle(): Promise<void> {
    const from = await sizeOf(path);
    const uri = `/version?fence=${randomUUID()}`;
    try {
      await ask(uri);
    } catch {
      // A dead API server writes nothing more.
      return;
    }
    for (let read = ''; !read.includes(uri);) {
      await sleep(5);
      read = await readFrom(path, from);
    }
    await sleep(SETTLE_MS);
  }
  return {
    async mark() {
      await settle();
      return sizeOf(path);
    },
    async since(mark) {
      await settle();
      const lines = (await readFrom(path, mark)).split('\n').slice(0, -1);
      const events = lines.map((line) => JSON.parse(line) as AuditEvent);
      return events.filter(isCounted).map(readEvent).filter(isOfInterest);
    },
  };
}

/**
 * Each request has one event that counts. Watches and other long answers have two, of which a
 * watch's last comes only when it ends; a refused login has no other than `ResponseStarted`.
 */
function isCounted({ stage, verb, user }: AuditEvent): boolean {
  const counted =
    verb === 'watch' || user?.username === undefined ? 'ResponseStarted' : 'ResponseComplete';
  return stage === counted;
}

function readEvent(event: AuditEvent): AuditedRequest {
  return {
    verb: event.verb,
    uri: event.requestURI,
    user: event.user?.username ?? '',
    userAgent: event.userAgent ?? '',
    code: event.responseStatus?.code ?? 0,
    at: Date.parse(event.requestReceivedTimestamp),
  };
}

/**
 * The controllers have ServiceAccounts of kube-system, as a program that a test installs there may
 * have; only their user agent tells them apart, which the policy cannot ask for.
 */
function isOfInterest({ user, userAgent }: AuditedRequest): boolean {
  const isController =
    user.startsWith('system:serviceaccount:kube-system:') &&
    userAgent.startsWith('kube-controller-manager/');
  return userAgent !== FENCE && !isController;
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path)).size;
}

async function readFrom(path: string, offset: number): Promise<string> {
  const stream = createReadStream(path, { start: offset, encoding: 'utf8' });
  return (await stream.toArray()).join('');
}
