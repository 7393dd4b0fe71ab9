// Every page, rendered with realistic values and with values that try to inject markup.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createViews } from '../../../src/web/pages/views.js';
import { examplePages, type Pages } from '../../support/example-pages.js';

type PageName = keyof Pages;

const HOSTILE = `<script>alert("1")</script>'&"><img src=x onerror=alert(1)>`;
const views = createViews({ brandName: 'Signet' });
const names = Object.keys(examplePages) as PageName[];

describe.each(names)('the page %s', (name) => {
  const html = render(name);

  it('is a complete HTML document with a language, a title and the brand', () => {
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html).toMatch(/<title>[^<]+ · Signet<\/title>/);
    expect(html).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
    expect(html).toMatch(/<header[\s\S]+Signet[\s\S]+<\/header>/);
    expect(html.match(/<h1/g)).toHaveLength(1);
    expect(html.trimEnd()).toMatch(/<\/html>$/);
    expect(html).not.toMatch(/undefined|\[object /);
  });

  it('escapes every value', () => {
    const hostile = createViews({ brandName: HOSTILE }).render(name, withHostileStrings(examplePages[name]) as never);
    expect(hostile.match(/<script/g)).toEqual(html.match(/<script/g));
    expect(hostile).not.toContain('<img src=x');
    // The tags are the same as with harmless values: no value left its attribute or element.
    expect(tags(hostile).map(withoutValues)).toEqual(tags(html).map(withoutValues));
  });

  it('contains no inline script, no inline style and nothing from another host', () => {
    expect(html).not.toMatch(/<script(?! src="\/assets\/[^"]+" defer><\/script>)|<style|<iframe|<object|<embed|<base/i);
    for (const tag of tags(html)) {
      expect(tag).not.toMatch(/\s(?:on[a-z]+|style|srcset)\s*=/i);
      if (/^<(?:link|img|use|image)\b/.test(tag)) expect(tag).not.toMatch(/https?:|"\/\//);
    }
  });

  it('posts every form with a CSRF token', () => {
    for (const form of html.match(/<form[\s\S]*?<\/form>/g) ?? []) {
      expect(form).toMatch(/^<form method="post" action="[^"]+">/);
      const usesOidcProviderXsrf = name.startsWith('oidc/') && name !== 'oidc/consent';
      expect(form).toMatch(
        usesOidcProviderXsrf ? /type="hidden" name="xsrf" value="[^"]+"/ : /name="csrf" value="[^"]+"/,
      );
      expect(form).toMatch(/<button[^>]+type="submit"/);
    }
  });

  it('labels every input, and links an invalid one to its error', () => {
    const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const input of tags(html).filter((tag) => /^<input(?!.*type="hidden")/.test(tag))) {
      expect(html).toContain(`<label for="${attribute(input, 'id')}">`);
      expect(attribute(input, 'autocomplete')).toBeTruthy();
      for (const id of (attribute(input, 'aria-describedby') ?? '').split(' ').filter(Boolean))
        expect(ids).toContain(id);
      if (input.includes('aria-invalid')) expect(attribute(input, 'aria-describedby')).toMatch(/-error/);
    }
  });

  it('does not prefill a password', () => {
    for (const input of tags(html).filter((tag) => tag.includes('type="password"'))) {
      expect(input).not.toContain(' value=');
    }
  });
});

describe('an absent optional value', () => {
  it.each<{ [Name in PageName]: [Name, Pages[Name]] }[PageName]>([
    ['sign-in/login', { csrfToken: 'c', action: '/login' }],
    ['sign-in/second-factor', { csrfToken: 'c', action: '/login/otp', challenge: 't', startOverHref: '/login' }],
    ['sign-in/register', { csrfToken: 'c', action: '/register', errors: {}, loginHref: '/login', passwordRule: 'r' }],
    ['sign-in/setup', { csrfToken: 'c', token: 't', errors: {}, passwordRule: 'r' }],
    ['sign-in/signed-out', {}],
    ['oidc/device-input', { action: '/device', xsrf: 'x' }],
    ['oidc/device-done', {}],
    ['oidc/device-done', { denied: true }],
    ['oidc/logout', { action: '/oauth/logout/confirm', xsrf: 'x' }],
    ['oidc/logged-out', {}],
    ['home', { account: { email: 'a@example.com' }, discoveryUrl: 'https://id.example.com/' }],
    ['error', { heading: 'No', message: 'No.' }],
  ])('adds nothing to the page %s', (name, locals) => {
    const html = views.render(name, locals);
    expect(html).not.toMatch(/undefined|null|role="alert"|aria-invalid|return_to|href=""/);
  });
});

describe('the page of an invitation', () => {
  const { canAccept: _canAccept, ...page } = examplePages['sign-in/invitation'];
  const href = '/login?return_to=x';

  it('offers the next step: accept, sign in, switch accounts or verify the address', () => {
    const render = (step: Partial<Pages['sign-in/invitation']>) =>
      views.render('sign-in/invitation', { ...page, ...step }).replace(/[\s\S]*<main/, '');
    expect(render({ canAccept: true })).toContain('action="/invitations/accept"');
    expect(render({ signIn: { loginHref: href, registerHref: '/register' } })).toMatch(
      />Sign in<[\s\S]+Create an account/,
    );
    expect(render({ signIn: { loginHref: href } })).not.toContain('Create an account');
    expect(render({ switchAccount: { signedInAs: 'ada@example.com', loginHref: href } })).toContain('ada@example.com');
    expect(render({ verifyEmail: { canSend: true } })).toContain('action="/account/verify-email"');
    expect(render({ verifyEmail: { canSend: false } })).not.toContain('<form');
  });
});

describe('the consent page', () => {
  it('warns of an unverified client and shows the host of its redirect URI', () => {
    const page = examplePages['oidc/consent'];
    expect(views.render('oidc/consent', { ...page, unverified: true })).toMatch(/not verified[\s\S]+acme\.example/);
    expect(views.render('oidc/consent', { ...page, unverified: false })).not.toContain('not verified');
  });

  it('offers to allow and to deny', () => {
    const html = render('oidc/consent');
    expect(html).toContain('name="decision" value="allow"');
    expect(html).toContain('name="decision" value="deny"');
  });
});

describe('the sign-in and sign-up pages', () => {
  it('support password managers', () => {
    expect(render('sign-in/login')).toMatch(/autocomplete="username"[\s\S]+autocomplete="current-password"/);
    expect(render('sign-in/register')).toMatch(/autocomplete="username"[\s\S]+autocomplete="new-password"/);
  });

  it('show an error as an alert and keep the e-mail address', () => {
    const html = render('sign-in/login');
    expect(html).toMatch(/role="alert">E-mail or password is wrong\./);
    expect(html).toContain('value="mara.lindqvist@example.com"');
  });
});

describe('the templates', () => {
  it('print raw HTML only from other templates', () => {
    const directory = join(import.meta.dirname, '../../../views');
    for (const file of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ejs')) continue;
      const raw = readFileSync(join(directory, file), 'utf8').match(/<%-(?! include\()[^%]*%>/g);
      expect(raw, file).toBeNull();
    }
  });

  it('throw for a page that does not exist', () => {
    expect(() => views.render('unknown' as never, {} as never)).toThrow('no page named unknown');
  });

  it('render the same with and without a cache', () => {
    const uncached = createViews({ brandName: 'Signet', cache: false });
    expect(uncached.render('home', examplePages.home)).toBe(render('home'));
    expect(uncached.render('home', examplePages.home)).toBe(render('home'));
  });
});

function render<Name extends PageName>(name: Name): string {
  return views.render(name, examplePages[name]);
}

/**
 * Returns the values with every string replaced by markup, except the kinds that select a part of a
 * template. */
function withHostileStrings(value: unknown): unknown {
  if (typeof value === 'string') return value === 'identity' || value === 'api' ? value : HOSTILE;
  if (Array.isArray(value)) return value.map(withHostileStrings);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withHostileStrings(inner)]));
}

function tags(html: string): string[] {
  return html.match(/<[a-z/!](?:"[^"]*"|[^">])*>/gi) ?? [];
}

/** Returns a tag without the values of its attributes. */
function withoutValues(tag: string): string {
  return tag.replace(/"[^"]*"/g, '""');
}

function attribute(tag: string, name: string): string | undefined {
  return tag.match(new RegExp(`\\s${name}="([^"]*)"`))?.[1];
}
