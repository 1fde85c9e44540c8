// What an upload event looks like on the wire. The same schemas validate requests and stand in /openapi.json.
import { Type, type Static } from 'typebox';

/** Also keeps `.` and `..` out, which URLs swallow: an id stands in the path of `/v1/events/{id}`. */
export const EVENT_ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$';

/** Events in one request; more go into several. */
export const MAX_EVENTS_PER_REQUEST = 10_000;

/** Changes in one event: all of them appear in one snapshot. */
export const MAX_CHANGES_PER_EVENT = 1000;

const path = Type.String({
  minLength: 1,
  maxLength: 1024,
  description:
    'Target path: ASCII letters, digits and . _ ~ ! @ + - /, relative, no segment that starts with "."',
});

export const TargetSchema = Type.Object(
  {
    length: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'Bytes' }),
    hashes: Type.Object(
      { sha256: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Lower-case hex' }) },
      { additionalProperties: false, description: 'Exactly one hash: clients differ on several' },
    ),
    custom: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description:
          'Anything that canonical JSON can say, at most 4096 bytes of it, eight levels deep, integers only; signed with the target',
      }),
    ),
  },
  { additionalProperties: false },
);

export const PutChangeSchema = Type.Object(
  {
    op: Type.Union([Type.Literal('add'), Type.Literal('put')], {
      description: '"add" refuses a path that exists with other content, "put" replaces it',
    }),
    path,
    ...TargetSchema.properties,
  },
  { additionalProperties: false },
);

export const RemoveChangeSchema = Type.Object(
  { op: Type.Literal('remove'), path },
  { additionalProperties: false, description: 'Removing an absent path is rejected' },
);

export const EventSchema = Type.Object(
  {
    id: Type.Optional(
      Type.String({
        pattern: EVENT_ID_PATTERN,
        description: 'Chosen by the sender, so that a repeated request is recognised; made here when absent',
      }),
    ),
    changes: Type.Array(Type.Union([PutChangeSchema, RemoveChangeSchema]), {
      minItems: 1,
      maxItems: MAX_CHANGES_PER_EVENT,
      description: 'Appear in the same snapshot, or none does; no path twice',
    }),
  },
  { additionalProperties: false },
);

export type WireEvent = Static<typeof EventSchema>;

const exampleEvent = {
  id: 'upload-2071-42',
  changes: [
    {
      op: 'add',
      path: 'packages/sampleproject-4.0.0-py3-none-any.whl',
      length: 4662,
      hashes: { sha256: '7b0a5c0c2d9a8a52c4ad55e0cf9e0e7b8bbf8c6a7d0e0f3a2f9c7d9b2c1d4e5f' },
      custom: { project: 'sampleproject' },
    },
    {
      op: 'put',
      path: 'simple/sampleproject/index.html',
      length: 1204,
      hashes: { sha256: '2f4b0a6f8a3c4f8d9ee0c1d27d1c6c0f5b7e9a8d4c3b2a190f8e7d6c5b4a3928' },
    },
    { op: 'remove', path: 'packages/sampleproject-3.0.0b1.tar.gz' },
  ],
};

export const EventsBodySchema = Type.Object(
  { events: Type.Array(EventSchema, { minItems: 1, maxItems: MAX_EVENTS_PER_REQUEST }) },
  { additionalProperties: false, examples: [{ events: [exampleEvent] }] },
);

export const EventLineSchema = Type.Object(EventSchema.properties, {
  additionalProperties: false,
  description: 'One event a line',
  examples: [exampleEvent],
});

export const ReceiptSchema = Type.Object(
  {
    id: Type.String(),
    position: Type.Integer({ description: 'Order of acceptance' }),
    state: Type.Union([Type.Literal('accepted'), Type.Literal('published'), Type.Literal('rejected')]),
    snapshot: Type.Optional(
      Type.Integer({ description: 'Set when published: the first snapshot with the event' }),
    ),
    code: Type.Optional(Type.String({ description: 'Set when rejected: docs/errors.md' })),
    reason: Type.Optional(Type.String({ description: 'Set when rejected, for people' })),
  },
  { additionalProperties: false },
);

export const ReceiptsSchema = Type.Object(
  { events: Type.Array(ReceiptSchema) },
  {
    additionalProperties: false,
    description: 'In the order of the request',
    examples: [{ events: [{ id: 'upload-2071-42', position: 311, state: 'accepted' }] }],
  },
);
