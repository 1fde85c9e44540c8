// How to reach a Vault or OpenBao server and how to log in there.

/** A secret is read when it is needed, so that a file that was renewed is read anew. */
export type SecretReader = () => Promise<string>;

export type VaultLogin =
  | { readonly method: 'token'; readonly token: SecretReader }
  | {
      readonly method: 'approle';
      /** Where the method is mounted below `auth/`. */
      readonly mount: string;
      readonly roleId: string;
      readonly secretId: SecretReader;
    }
  | {
      readonly method: 'kubernetes';
      readonly mount: string;
      readonly role: string;
      /** The token of the pod's service account. */
      readonly jwt: SecretReader;
    };

export interface VaultSettings {
  /** An origin: `https://vault.example.org:8200`. */
  readonly address: string;
  readonly namespace?: string;
  /** PEM certificates that the server's must descend from, in place of the system's. */
  readonly ca?: string;
  readonly login: VaultLogin;
}
