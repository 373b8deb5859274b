// node-oidc-provider, a certified OpenID Connect provider, as its one argument (JSON) says: where its
// module lies, its port, the audience, the algorithm that signs, and the tenant it names. Its keys are
// made anew at each start.

import { generateKeyPairSync } from "node:crypto";

const wanted = JSON.parse(process.argv[2]);
const { Provider } = await import(wanted.module);

const KINDS = {
  RS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
};
const key = ([kind, options], algorithm) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" }),
  use: "sig",
  alg: algorithm,
});

const provider = new Provider(`http://127.0.0.1:${wanted.port}`, {
  clients: [
    {
      client_id: "robot",
      client_secret: "secret",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    },
  ],
  jwks: { keys: Object.entries(KINDS).map(([algorithm, kind]) => key(kind, algorithm)) },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => wanted.audience,
      getResourceServerInfo: () => ({
        scope: "files:read search",
        audience: wanted.audience,
        accessTokenFormat: "jwt",
        accessTokenTTL: 300,
        jwt: { sign: { alg: wanted.algorithm } },
      }),
    },
  },
  enabledJWA: { userinfoSigningAlgValues: Object.keys(KINDS), idTokenSigningAlgValues: Object.keys(KINDS) },
  extraTokenClaims: () => ({ org: wanted.tenant }),
});
provider.listen(wanted.port, "127.0.0.1");
