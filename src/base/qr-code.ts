/** Text as a QR code, for a camera to read. */
import { renderSVG } from 'uqr';

/**
 * Modules of white around it: what ISO/IEC 18004 asks for, and what cameras need on a dark page.
 */
const QUIET_ZONE = 4;

/** An SVG image of black on white. Its size is whatever the page gives it. */
export const qrCodeSvg = (text: string) => renderSVG(text, { ecc: 'M', border: QUIET_ZONE, pixelSize: 1 });
