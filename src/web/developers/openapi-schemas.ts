/** The schemas of the OpenAPI document. */
import { z } from 'zod';

type Json = Record<string, unknown>;

export type Schemas = ReturnType<typeof createSchemas>;

/** Converts zod schemas to JSON Schema and collects the shared ones. */
export function createSchemas() {
  const shared: Json = {};
  return { of, shared };

  function of(schema: z.ZodType): Json {
    // Uses the input schemas, which allow further members: later releases may add some.
    const {
      $schema: _dialect,
      $defs,
      ...rest
    } = z.toJSONSchema(schema, { io: 'input', override: removeRedundantKeywords });
    Object.assign(shared, withSharedReferences($defs ?? {}));
    return withSharedReferences(rest);
  }

  function withSharedReferences(schema: object): Json {
    return JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/'));
  }
}

/** Removes patterns that only repeat a format, and the bounds of JavaScript integers. */
function removeRedundantKeywords({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.format) delete jsonSchema.pattern;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
}
