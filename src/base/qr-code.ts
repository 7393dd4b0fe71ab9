/** Renders text as a QR code. */
import { renderSVG } from 'uqr';

/** Width of the white border (ISO/IEC 18004). Cameras need it on a dark page. */
const QUIET_ZONE_MODULES = 4;

/** Returns an SVG image, black on white. The page determines its size. */
export const qrCodeSvg = (text: string) => renderSVG(text, { ecc: 'M', border: QUIET_ZONE_MODULES, pixelSize: 1 });
