import type { Provider } from '../provider.ts';
import { basic } from './basic.ts';

/** Every built-in provider. A new one is a file in this folder and a line here. */
export const providers: readonly Provider[] = [basic];
