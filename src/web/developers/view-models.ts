/** The API reference page, and the values that it prints. */

export interface DocsPages {
  'docs/api': ApiReferencePage;
}

/** URLs of the document and of the viewer. */
interface ApiReferencePage {
  documentHref: string;
  viewerHref: string;
  viewerStylesheetHref: string;
  scriptHref: string;
  pageStylesheetHref: string;
}
