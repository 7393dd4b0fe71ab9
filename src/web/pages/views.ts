/**
 * Renders pages from the templates in views/. The `view-models.ts` of each module has the types of
 * the values that its pages print. Templates escape every value.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ejs from 'ejs';
import type { SharedPages } from './view-models.js';

const VIEWS_DIRECTORY = fileURLToPath(new URL('../../../views/', import.meta.url));

interface Options {
  /** The display name from `BRAND_NAME`, in the header and title of every page. */
  brandName: string;
  /** The folder with the templates. Default: `views/`. */
  directory?: string;
  /** False reads the templates for every page, for development. Default: true. */
  cache?: boolean;
  /**
   * Returns the URL of a file in `public/`. `staticFiles().urlOf` adds a version, so that browsers
   * can cache it for a year.
   */
  assetUrl?: (file: string) => string;
}

/** Renders the pages of one module, and the shared ones. */
export interface Views<Pages = unknown> {
  render<Name extends keyof (Pages & SharedPages)>(name: Name, values: (Pages & SharedPages)[Name]): string;
}

/** Creates the renderer. Each module uses it with its own pages: `Views<AccountPages>`. */
export function createViews({
  brandName,
  directory = VIEWS_DIRECTORY,
  cache = true,
  assetUrl = plainAssetUrl,
}: Options) {
  const templates = new Map<string, ejs.TemplateFunction>();
  const layout = { brandName, stylesheetHref: assetUrl('signet.css'), iconHref: assetUrl('favicon.svg') };
  return { render };

  /** Returns the HTML. Throws for an unknown name or a broken template, which is a bug. */
  function render(name: string, values: object): string {
    return template(name)({ ...values, ...layout });
  }

  function template(name: string): ejs.TemplateFunction {
    const cached = templates.get(name);
    if (cached) return cached;
    const filename = join(directory, `${name}.ejs`);
    if (!existsSync(filename)) throw new Error(`there is no page named ${name}`);
    // Strict mode: a template reads `page.x`, so an absent value is empty and not a ReferenceError.
    const compiled = ejs.compile(readFileSync(filename, 'utf8'), {
      filename,
      root: directory,
      cache,
      strict: true,
      localsName: 'page',
    });
    if (cache) templates.set(name, compiled);
    return compiled;
  }
}

function plainAssetUrl(file: string): string {
  return `/assets/${file}`;
}
