/** Where a request came from. Who is behind it is another question, answered by credentials. */

export interface RequestMeta {
  /** IP address of the nearest hop that is not a trusted proxy. */
  address: string;
  userAgent: string;
  requestId: string;
  /** By what a browser is recognised when it comes again, where it is one. */
  device?: string;
}

/** For what the server or its keeper does by itself. */
export const systemMeta: RequestMeta = { address: '', userAgent: '', requestId: '' };
