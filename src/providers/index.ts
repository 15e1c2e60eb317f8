import type { Provider } from '../provider.ts';
import { acr } from './acr.ts';
import { basic } from './basic.ts';
import { ecr } from './ecr.ts';
import { gcr } from './gcr.ts';

/** Every built-in provider. A new one is a file in this folder and a line here. */
export const providers: readonly Provider[] = [ecr, acr, gcr, basic];
