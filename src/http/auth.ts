// Who may call a route. Every route says so in its config, and none can be forgotten: a route without `access` is
// refused when the server is built.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../lib/clock.ts';
import { ProblemError } from './problem.ts';
import type { Authenticator, Identity, Scope } from './tokens.ts';

/** `public`, or the scopes of which a token must have one. */
export type Access = 'public' | readonly Scope[];

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    /** Set where a token was asked for. */
    identity: Identity | undefined;
  }
}

/** RFC 6750 section 2.1; longer tokens than this are nobody's. */
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]{1,512}=*)$/i;

/** Asks for a token on every route that is not public. */
export function protectRoutes(
  app: FastifyInstance,
  deps: { readonly auth: Authenticator | undefined; readonly clock: Clock },
): void {
  const { auth, clock } = deps;
  app.decorateRequest('identity', undefined);
  app.addHook('onRoute', (route) => {
    if (route.config?.access === undefined)
      throw new Error(`route ${route.url} does not say who may call it`);
  });
  app.addHook('onRequest', (request, _reply, done) => {
    const access = request.routeOptions.config.access ?? 'public';
    if (access !== 'public') {
      if (auth === undefined) refuseBrowsers(request);
      else request.identity = authorize(request, access, auth, clock.now());
    }
    done();
  });
}

/**
 * Without tokens whoever reaches loopback is trusted, but a web page in a browser on this computer reaches it too
 * (DNS rebinding). Programs send no Origin with what they change; browsers always do.
 */
function refuseBrowsers(request: FastifyRequest): void {
  if (request.method !== 'GET' && request.method !== 'HEAD' && request.headers.origin !== undefined) {
    throw new ProblemError('forbidden', 'without tokens, requests from web pages change nothing');
  }
}

function authorize(
  request: FastifyRequest,
  access: readonly Scope[],
  auth: Authenticator,
  now: number,
): Identity {
  const token = BEARER.exec(request.headers.authorization ?? '')?.[1];
  const identity = token === undefined ? undefined : auth(token, now);
  if (identity === undefined) {
    const given = request.headers.authorization !== undefined;
    throw new ProblemError(
      'unauthorized',
      given ? 'the bearer token is not known or has expired' : 'this route needs a bearer token',
      {
        headers: {
          'www-authenticate': `Bearer realm="countersign"${given ? ', error="invalid_token"' : ''}`,
        },
      },
    );
  }
  if (!access.some((scope) => identity.scopes.has(scope))) {
    const needed = access.join('" or "');
    throw new ProblemError('forbidden', `token "${identity.name}" has no scope "${needed}"`, {
      headers: {
        'www-authenticate': `Bearer realm="countersign", error="insufficient_scope", scope="${access[0] ?? ''}"`,
      },
    });
  }
  return identity;
}
