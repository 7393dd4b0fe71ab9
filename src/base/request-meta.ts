/** The origin of a request, for the audit log, rate limits and logs. The principal is separate. */

export interface RequestMeta {
  /** IP address of the nearest hop that is not a trusted proxy. */
  address: string;
  userAgent: string;
  requestId: string;
  /** The value of the device cookie, by which a browser is recognized. */
  device?: string;
}

/** The origin of actions of the server itself, or of its administrator in a terminal. */
export const systemMeta: RequestMeta = { address: '', userAgent: '', requestId: '' };
