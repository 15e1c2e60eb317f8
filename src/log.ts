type Level = 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, string | number | boolean>>;

/** Lines on standard error: JSON in a Pod, plain text elsewhere. Static message, facts in fields. */
export class Log {
  readonly #write: (text: string) => void;
  readonly #json: boolean;

  constructor(write: (text: string) => void, options: { readonly json: boolean }) {
    this.#write = write;
    this.#json = options.json;
  }

  warn(message: string, fields: Fields = {}): void {
    this.#line('warn', message, fields);
  }

  error(message: string, fields: Fields = {}): void {
    this.#line('error', message, fields);
  }

  /** One mistake in the input, as `path: message`. */
  problem(path: string, message: string): void {
    if (this.#json) this.#line('error', 'wrong input', { path, problem: message });
    else this.#write(path ? `${path}: ${message}\n` : `${message}\n`);
  }

  #line(level: Level, message: string, fields: Fields): void {
    if (this.#json) {
      const time = new Date().toISOString();
      this.#write(`${JSON.stringify({ time, level, message, ...fields })}\n`);
      return;
    }
    const facts = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
    this.#write(`${[`${level}:`, message, ...facts].join(' ')}\n`);
  }
}
