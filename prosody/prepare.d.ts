/** What is known of the machine and of this folder. */
export interface Facts {
  readonly node: string;
  readonly platform: NodeJS.Platform;
  readonly apt: boolean;
  readonly privilege: 'root' | 'sudo' | 'password' | 'none';
  /** Of prosody and redis-server. */
  readonly missing: readonly string[];
  readonly packagesDiffer: boolean;
  readonly buildIsOld: boolean;
}

export interface Step {
  readonly id: 'apt' | 'npm' | 'build';
  readonly title: string;
  readonly note: string;
}

interface Lock {
  readonly packages: Readonly<
    Record<string, { version?: string; integrity?: string; optional?: boolean; devOptional?: boolean }>
  >;
}

export function plan(facts: Facts): { readonly problem?: string; readonly steps: readonly Step[] };
export function locksDiffer(wanted: Lock, installed: Lock | undefined): boolean;
