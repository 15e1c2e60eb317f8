import { ClusterError } from './cluster.ts';
import type {
  Cluster,
  NamespaceState,
  SecretState,
  SecretWrite,
  ServiceAccountState,
} from './cluster.ts';
import { SECRET_KEY } from './dockerconfig.ts';
import { FIELD_MANAGER } from './ownership.ts';
import { ApiServer } from './kubernetes.ts';
import type { ConnectOptions } from './kubernetes.ts';
import { forEachConcurrently } from './pool.ts';

const JSON_TYPE = 'application/json';
const METADATA_LIST = `${JSON_TYPE};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1`;
const METADATA = `${JSON_TYPE};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`;

/** Objects in one page: large enough to be quick, small enough to hold. */
const PAGE = 500;

/** How often a list starts anew when the server has forgotten the version it was read at (410). */
const LIST_ATTEMPTS = 3;

/** How often an attachment is tried when somebody else writes the ServiceAccount at the same time. */
const ATTACH_ATTEMPTS = 5;

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly resourceVersion?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly managedFields?: readonly {
    readonly manager?: string;
    readonly fieldsV1?: Readonly<Record<string, unknown>>;
  }[];
}

interface ListAnswer<Item> {
  readonly metadata?: { readonly continue?: string };
  readonly items?: readonly Item[];
}

interface ServiceAccountAnswer {
  readonly metadata: Metadata;
  readonly imagePullSecrets?: readonly { readonly name?: string }[];
}

/** How to reach a cluster, and how hard to work it. */
export interface ClusterOptions extends Omit<ConnectOptions, 'connections'> {
  readonly concurrency: number;
  /** Aborted when no new request may start. */
  readonly stopping: AbortSignal;
}

/** Opens a cluster. @throws ClusterError if there is none to be reached */
export async function connect(
  options: ClusterOptions,
): Promise<{ readonly cluster: Cluster; readonly close: () => Promise<void> }> {
  const { concurrency, stopping } = options;
  const api = await ApiServer.connect({ ...options, connections: concurrency });
  return {
    cluster: new KubernetesCluster(api, { concurrency, signal: stopping }),
    close: () => api.close(),
  };
}

/** A cluster behind its API server: lists of metadata, one server-side apply for each Secret. */
export class KubernetesCluster implements Cluster {
  readonly #api: ApiServer;
  readonly #concurrency: number;
  readonly #signal: AbortSignal;

  constructor(
    api: ApiServer,
    options: { readonly concurrency: number; readonly signal: AbortSignal },
  ) {
    this.#api = api;
    this.#concurrency = options.concurrency;
    this.#signal = options.signal;
  }

  async listNamespaces(): Promise<readonly NamespaceState[]> {
    return await this.#list('/api/v1/namespaces', '', METADATA_LIST, ({ metadata }) => ({
      name: metadata.name,
      labels: metadata.labels ?? {},
      terminating: metadata.deletionTimestamp !== undefined,
    }));
  }

  async listSecrets(name: string, namespaces?: readonly string[]): Promise<readonly SecretState[]> {
    return await this.#listNamed('secrets', name, namespaces, METADATA_LIST, secretState);
  }

  async listServiceAccounts(
    name: string,
    namespaces?: readonly string[],
  ): Promise<readonly ServiceAccountState[]> {
    return await this.#listNamed('serviceaccounts', name, namespaces, JSON_TYPE, accountState);
  }

  async readDockerConfig(namespace: string, name: string): Promise<string | undefined> {
    const { data } = await this.#api.send<{ readonly data?: Readonly<Record<string, string>> }>({
      method: 'GET',
      path: objectPath(namespace, 'secrets', name),
      accept: JSON_TYPE,
    });
    const encoded = data?.[SECRET_KEY];
    return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8');
  }

  async applySecret({ namespace, name, manifest, force, dryRun }: SecretWrite): Promise<void> {
    const query = new URLSearchParams({
      fieldManager: FIELD_MANAGER,
      fieldValidation: 'Strict',
      ...(force && { force: 'true' }),
      ...(dryRun && { dryRun: 'All' }),
    });
    await this.#api.send({
      method: 'PATCH',
      path: `${objectPath(namespace, 'secrets', name)}?${query.toString()}`,
      accept: METADATA,
      contentType: 'application/apply-patch+yaml',
      body: manifest,
    });
  }

  async attach(
    account: ServiceAccountState,
    secrets: readonly string[],
    { dryRun }: { readonly dryRun: boolean },
  ): Promise<void> {
    let current = account;
    for (let attempt = 1; ; attempt += 1) {
      const missing = secrets.filter((secret) => !current.imagePullSecrets.includes(secret));
      if (missing.length === 0) return;
      try {
        await this.#patchAccount(current, missing, dryRun);
        return;
      } catch (error) {
        const stale = error instanceof ClusterError && error.reason === 'conflict';
        if (!stale || attempt === ATTACH_ATTEMPTS) throw error;
        current = await this.#readAccount(current);
      }
    }
  }

  // The list is replaced as a whole, so the version it was read at is stated: a change in between
  // is refused instead of lost.
  async #patchAccount(
    { namespace, name, resourceVersion, imagePullSecrets }: ServiceAccountState,
    missing: readonly string[],
    dryRun: boolean,
  ): Promise<void> {
    const query = new URLSearchParams({
      fieldManager: FIELD_MANAGER,
      ...(dryRun && { dryRun: 'All' }),
    });
    await this.#api.send({
      method: 'PATCH',
      path: `${objectPath(namespace, 'serviceaccounts', name)}?${query.toString()}`,
      accept: METADATA,
      contentType: 'application/merge-patch+json',
      body: JSON.stringify({
        metadata: { resourceVersion },
        imagePullSecrets: [...imagePullSecrets, ...missing].map((secret) => ({ name: secret })),
      }),
    });
  }

  async #readAccount({ namespace, name }: ServiceAccountState): Promise<ServiceAccountState> {
    return accountState(
      await this.#api.send<ServiceAccountAnswer>({
        method: 'GET',
        path: objectPath(namespace, 'serviceaccounts', name),
        accept: JSON_TYPE,
      }),
    );
  }

  async #listNamed<State>(
    resource: string,
    name: string,
    namespaces: readonly string[] | undefined,
    accept: string,
    convert: (item: ServiceAccountAnswer) => State,
  ): Promise<readonly State[]> {
    const selector = `metadata.name=${name}`;
    if (namespaces === undefined) {
      return await this.#list(`/api/v1/${resource}`, selector, accept, convert);
    }
    const found: State[] = [];
    await forEachConcurrently(namespaces, this.#concurrency, this.#signal, async (namespace) => {
      const path = `/api/v1/namespaces/${namespace}/${resource}`;
      found.push(...(await this.#list(path, selector, accept, convert)));
    });
    return found;
  }

  async #list<State>(
    path: string,
    fieldSelector: string,
    accept: string,
    convert: (item: ServiceAccountAnswer) => State,
  ): Promise<readonly State[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#pages(path, fieldSelector, accept, convert);
      } catch (error) {
        const expired = error instanceof ClusterError && error.reason === 'invalid';
        if (!expired || attempt === LIST_ATTEMPTS) throw error;
      }
    }
  }

  async #pages<State>(
    path: string,
    fieldSelector: string,
    accept: string,
    convert: (item: ServiceAccountAnswer) => State,
  ): Promise<readonly State[]> {
    const states: State[] = [];
    let position = '';
    do {
      const query = new URLSearchParams({
        limit: String(PAGE),
        ...(fieldSelector && { fieldSelector }),
        ...(position && { continue: position }),
      });
      const page = await this.#api.send<ListAnswer<ServiceAccountAnswer>>({
        method: 'GET',
        path: `${path}?${query.toString()}`,
        accept,
      });
      for (const item of page.items ?? []) states.push(convert(item));
      position = page.metadata?.continue ?? '';
    } while (position);
    return states;
  }
}

function objectPath(namespace: string, resource: string, name: string): string {
  return `/api/v1/namespaces/${namespace}/${resource}/${name}`;
}

function secretState({ metadata }: { readonly metadata: Metadata }): SecretState {
  const fields = metadata.managedFields ?? [];
  const others = fields.filter(({ manager }) => manager !== FIELD_MANAGER);
  return {
    namespace: metadata.namespace ?? '',
    annotations: metadata.annotations ?? {},
    otherManagers: managersOf(others),
    otherDataManagers: managersOf(others.filter(({ fieldsV1 }) => ownsData(fieldsV1))),
    dataIsOurs: fields.some(
      ({ manager, fieldsV1 }) => manager === FIELD_MANAGER && ownsData(fieldsV1),
    ),
  };
}

function ownsData(fields: Readonly<Record<string, unknown>> | undefined): boolean {
  const data = fields?.['f:data'];
  return typeof data === 'object' && data !== null && `f:${SECRET_KEY}` in data;
}

function managersOf(fields: NonNullable<Metadata['managedFields']>): readonly string[] {
  return [...new Set(fields.flatMap(({ manager }) => (manager ? [manager] : [])))];
}

function accountState({ metadata, imagePullSecrets }: ServiceAccountAnswer): ServiceAccountState {
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    resourceVersion: metadata.resourceVersion ?? '',
    imagePullSecrets: (imagePullSecrets ?? []).flatMap(({ name }) => (name ? [name] : [])),
  };
}
