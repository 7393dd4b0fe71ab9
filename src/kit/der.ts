/**
 * Decodes DER (X.690, section 10) with asn1js. The library also accepts BER, in which one value has
 * several encodings. This module rejects encodings that only BER allows, so that no two parsers can
 * disagree about a certificate.
 */
import * as asn1 from 'asn1js';

type Type<Element extends asn1.BaseBlock> = new () => Element;

/** Decodes exactly one element of this type. Throws for anything else, trailing data included. */
export function decodeDer<Element extends asn1.BaseBlock>(der: Uint8Array, type: Type<Element>): Element {
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
