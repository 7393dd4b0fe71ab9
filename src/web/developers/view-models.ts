/** The page that shows the API, and the values that it prints. */

export interface DocsPages {
  'docs/api': ApiReferencePage;
}

/** Where the page finds the document, and the files that show it. */
interface ApiReferencePage {
  documentHref: string;
  viewerHref: string;
  viewerStylesheetHref: string;
  scriptHref: string;
  pageStylesheetHref: string;
}
