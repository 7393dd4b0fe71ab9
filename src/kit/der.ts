/**
 * Decodes DER (X.690, section 10) with asn1js. The library also accepts BER, in which one value has
 * several encodings. This module rejects encodings that only BER allows, so that no two parsers can
 * disagree about a certificate.
 */
import * as asn1 from 'asn1js';

/**
 * Bounds of what is decoded, because the sender of a certificate chooses its content. asn1js makes
 * an object of each element, and of each number in an object identifier. A certificate has about a
 * hundred elements, and its identifiers have less than 20 bytes.
 */
const MAX_ELEMENTS = 250;
const MAX_IDENTIFIER_BYTES = 64;
const CONSTRUCTED = 0x20;
const MULTI_BYTE_TAG = 0x1f;
/** The tags of object identifiers, absolute and relative. */
const IDENTIFIER_TAGS = [0x06, 0x0d];

type Type<Element extends asn1.BaseBlock> = new () => Element;

/** Decodes exactly one element of this type. Throws for anything else, trailing data included. */
export function decodeDer<Element extends asn1.BaseBlock>(der: Uint8Array, type: Type<Element>): Element {
  requireBounded(der);
  const { offset, result } = asn1.fromBER(der, { parseEmbedded: false, copyInput: false });
  if (offset !== der.byteLength) throw new TypeError(result.error || 'data after the element');
  requireDer(result);
  return requireType(result, type);
}

/** Returns the element if it has this type. Throws otherwise, also when it is missing. */
export function requireType<Element extends asn1.BaseBlock>(
  element: asn1.BaseBlock | undefined,
  type: Type<Element>,
): Element {
  if (!(element instanceof type)) throw new TypeError(`expected ${type.name}`);
  return element;
}

/** Returns the children of a constructed element. Throws if it is not constructed. */
export function childrenOf(element: asn1.BaseBlock | undefined): asn1.BaseBlock[] {
  return requireType(element, asn1.Constructed).valueBlock.value;
}

/** Reports whether this is a field that ASN.1 marks by its number only, such as `[3]`. */
export function isTagged({ idBlock }: asn1.BaseBlock, tagNumber: number): boolean {
  return idBlock.tagClass === CONTEXT_SPECIFIC && idBlock.tagNumber === tagNumber;
}

/** Throws for an element beyond the bounds. Goes through all elements without decoding them. */
function requireBounded(der: Uint8Array): void {
  let elements = 0;
  for (let position = 0; position < der.length; ) {
    const tag = der[position]!;
    const { length, start } = readLength(der, position + 1);
    elements += 1;
    if (elements > MAX_ELEMENTS) throw new TypeError('too many elements');
    if ((tag & MULTI_BYTE_TAG) === MULTI_BYTE_TAG) throw new TypeError('tag is too long');
    const isIdentifier = IDENTIFIER_TAGS.includes(tag & ~CONSTRUCTED);
    if (isIdentifier && length > MAX_IDENTIFIER_BYTES) throw new TypeError('object identifier is too long');
    position = tag & CONSTRUCTED && !isIdentifier ? start : start + length;
  }
}

/** Returns the length at this position, and where the content begins. DER has no other forms. */
function readLength(der: Uint8Array, position: number): { length: number; start: number } {
  const first = der[position] ?? 0;
  const start = position + 1;
  if (first < 0x80) return { length: first, start };
  const bytes = first & 0x7f;
  if (bytes < 1 || bytes > 3) throw new TypeError('wrong length');
  let length = 0;
  for (let n = 0; n < bytes; n += 1) length = length * 256 + (der[start + n] ?? 0);
  return { length, start: start + bytes };
}

const CONTEXT_SPECIFIC = 3;

function requireDer(element: asn1.BaseBlock): void {
  const { lenBlock, idBlock } = element;
  const isConstructed = element instanceof asn1.Constructed;
  if (lenBlock.isIndefiniteForm || lenBlock.warnings.length > 0) throw new TypeError('length is not minimal');
  // asn1js accepts elements that reach beyond the end of the element around them.
  const size = idBlock.blockLength + lenBlock.blockLength + lenBlock.length;
  if (element.blockLength !== size) throw new TypeError('wrong length');
  // Rejects strings in several parts, and sequences that are marked as primitive.
  if (idBlock.isConstructed !== isConstructed) throw new TypeError('wrong form');
  if (element instanceof asn1.Boolean) requireBoolean(element.valueBlock.valueHexView);
  if (element instanceof asn1.ObjectIdentifier) requireObjectIdentifier(element);
  if (isConstructed) element.valueBlock.value.forEach(requireDer);
}

/** Throws for bytes other than 0x00 and 0xff, which OpenSSL reads as true. */
function requireBoolean(content: Uint8Array): void {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) throw new TypeError('wrong boolean');
}

/** Throws for padding, because it would give one identifier several encodings. */
function requireObjectIdentifier({ valueBlock }: asn1.ObjectIdentifier): void {
  const isPadded = valueBlock.value.some(({ valueHexView }) => valueHexView.length > 1 && valueHexView[0] === 0);
  if (isPadded || valueBlock.value.length === 0) throw new TypeError('wrong object identifier');
}
