// What is in a picture: by the browser's own detector where there is one, else by a decoder that is loaded now.

/** The text of a code in the picture, if there is one. */
export type Decode = (video: HTMLVideoElement) => Promise<string | undefined>;

/** Not in the types yet (https://wicg.github.io/shape-detection-api/). */
interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>;
}
interface DetectorClass {
  new (options: { formats: string[] }): Detector;
  getSupportedFormats(): Promise<string[]>;
}

/** What is printed on badges and tickets. */
const FORMATS = ["qr_code", "aztec", "data_matrix", "pdf417", "code_128"];
/** Longer sides are scaled down: enough for a badge at arm's length, and quick. */
const LONGEST_PIXELS = 800;

export async function decoder(): Promise<Decode> {
  return (await detecting().catch(() => undefined)) ?? decoding();
}

async function detecting(): Promise<Decode | undefined> {
  const BarcodeDetector = (globalThis as { BarcodeDetector?: DetectorClass }).BarcodeDetector;
  const known = (await BarcodeDetector?.getSupportedFormats()) ?? [];
  const formats = FORMATS.filter((format) => known.includes(format));
  if (!BarcodeDetector || !formats.includes("qr_code")) return undefined;
  const detector = new BarcodeDetector({ formats });
  return async (video) => (await detector.detect(video))[0]?.rawValue;
}

async function decoding(): Promise<Decode> {
  const { decodeQR } = await import("qr/decode.js");
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return async (video) => {
    const scale = Math.min(1, LONGEST_PIXELS / Math.max(video.videoWidth, video.videoHeight));
    const [width, height] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
    if (!context || !width || !height) return undefined;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.drawImage(video, 0, 0, width, height);
    try {
      return decodeQR(context.getImageData(0, 0, width, height));
    } catch {
      // There is none in this picture.
      return undefined;
    }
  };
}
