// A browser without scripts: keeps cookies, follows redirects within one origin, also of pages that
// go on by themselves, and submits forms.

export interface Page {
  url: URL;
  status: number;
  headers: Headers;
  html: string;
}

export interface Form {
  action: string;
  fields: Record<string, string>;
}

const MAX_REDIRECTS = 20;

/** Returns where a page goes on by itself, after a form. */
const refreshTarget = (html: string) =>
  /<meta http-equiv="refresh" content="0; url=([^"]+)">/
    .exec(html)?.[1]
    ?.replaceAll('&amp;', '&')
    .replaceAll('&#39;', "'");

export class Browser {
  /** name → value and path, for one origin. */
  readonly cookies = new Map<string, { value: string; path: string }>();
  headers: Record<string, string> = {
    accept: 'text/html',
    'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0',
  };

  /** Called for each response, including redirects. */
  onResponse: (method: string, url: URL, status: number, headers: Headers) => void = () => {};

  constructor(readonly origin: string) {}

  /**
   * Opens a URL. Returns the page, or the first redirect to another origin without following it.
   */
  async open(
    target: string | URL,
    init: { method?: string; body?: URLSearchParams; headers?: Record<string, string> } = {},
  ): Promise<Page> {
    let url = new URL(target, this.origin);
    let { method = 'GET', body } = init;
    for (let i = 0; i < MAX_REDIRECTS; i += 1) {
      const response = await fetch(url, {
        method,
        body,
        redirect: 'manual',
        headers: { ...this.headers, ...init.headers, cookie: this.#cookieHeader(url.pathname) },
      });
      this.onResponse(method, url, response.status, response.headers);
      this.#keep(response.headers.getSetCookie());
      const html = await response.text();
      const location = response.headers.get('location') ?? refreshTarget(html);
      if (!location) return { url, status: response.status, headers: response.headers, html };
      const next = new URL(location, url);
      if (next.origin !== this.origin) return { url: next, status: response.status, headers: response.headers, html };
      url = next;
      method = 'GET';
      body = undefined;
    }
    throw new Error(`more than ${MAX_REDIRECTS} redirects, the last to ${url}`);
  }

  /** Submits the n-th form of the page, with these fields changed or added. */
  async submit(page: Page, fields: Record<string, string> = {}, n = 0): Promise<Page> {
    const form = formsOf(page.html)[n];
    if (!form) throw new Error(`no form ${n} on ${page.url}: ${page.html.slice(0, 2000)}`);
    return this.open(new URL(form.action, page.url), {
      method: 'POST',
      body: new URLSearchParams({ ...form.fields, ...fields }),
    });
  }

  async signIn(email: string, password: string, at: string | Page = '/login'): Promise<Page> {
    const page = typeof at === 'string' ? await this.open(at) : at;
    return this.submit(page, { email, password });
  }

  #cookieHeader(path: string): string {
    return [...this.cookies]
      .filter(([, cookie]) => path === cookie.path || path.startsWith(cookie.path.replace(/\/?$/, '/')))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ');
  }

  #keep(setCookies: string[]): void {
    for (const line of setCookies) {
      const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
      const name = pair.slice(0, pair.indexOf('='));
      const value = pair.slice(pair.indexOf('=') + 1);
      const attribute = (wanted: string) =>
        attributes.find((text) => text.toLowerCase().startsWith(`${wanted}=`))?.split('=')[1];
      const expired = attribute('max-age') === '0' || new Date(attribute('expires') ?? '9999-01-01') <= new Date();
      if (expired || value === '') this.cookies.delete(name);
      else this.cookies.set(name, { value, path: attribute('path') ?? '/' });
    }
  }
}

/** Returns the forms of a page with the fields that they would submit. */
export function formsOf(html: string): Form[] {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)].map(([, attributes = '', inner = '']) => ({
    action: unescapeHtml(/action="([^"]*)"/.exec(attributes)?.[1] ?? ''),
    fields: Object.fromEntries(
      [...inner.matchAll(/<input\b([^>]*)>/g)].flatMap(([, input = '']) => {
        const name = /name="([^"]*)"/.exec(input)?.[1];
        return name ? [[name, unescapeHtml(/value="([^"]*)"/.exec(input)?.[1] ?? '')]] : [];
      }),
    ),
  }));
}

const unescapeHtml = (text: string) =>
  text
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
