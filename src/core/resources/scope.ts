/** What a token may do at an API, in one word and in one sentence. */
export interface Scope {
  name: string;
  /** One sentence for the person who is asked. */
  description: string;
  /** Whether clients that ask for no scope ask for this one. */
  byDefault: boolean;
  /** Agents may be given it. */
  capability: boolean;
}
