// A camera that looks for codes.
import { useEffect, useRef, useState, type RefObject } from "react";
import { decoder } from "./decode";

/** Between two looks: often enough for a hand, and the device stays cool. */
const LOOK_MS = 120;

export type Trouble = "noCamera" | "notAllowed" | "inUse" | "insecure";
type Facing = "environment" | "user";

interface Looking {
  video: RefObject<HTMLVideoElement | null>;
  state: "off" | "starting" | "on" | Trouble;
  /** Undefined when the camera has none. */
  torch: boolean | undefined;
  /** Whether there is another camera. */
  canFlip: boolean;
  switchTorch: () => void;
  flip: () => void;
}

/** Not in the types of the browser's library. */
interface Torch extends MediaTrackConstraintSet {
  torch?: boolean;
}

/** Looks as long as it is `wanted`; each code that is seen is told, again and again while it is seen. */
export function useCamera(wanted: boolean, onCode: (code: string) => void): Looking {
  const video = useRef<HTMLVideoElement>(null);
  const told = useRef(onCode);
  told.current = onCode;
  const [state, setState] = useState<Looking["state"]>("off");
  const [track, setTrack] = useState<MediaStreamTrack | null>(null);
  const [facing, setFacing] = useState<Facing>("environment");
  const [torch, setTorch] = useState<boolean | undefined>(undefined);
  const [canFlip, setCanFlip] = useState(false);

  useEffect(() => {
    if (!wanted) return;
    const over = new AbortController();
    let stream: MediaStream | undefined;
    const start = async () => {
      setState("starting");
      stream = await open(facing);
      const [first] = stream.getVideoTracks();
      if (over.signal.aborted || !video.current || !first) return stop(stream);
      video.current.srcObject = stream;
      await video.current.play();
      setTrack(first);
      setTorch((first.getCapabilities?.() as { torch?: boolean } | undefined)?.torch ? false : undefined);
      setCanFlip((await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput").length > 1);
      setState("on");
      await look(video.current, over.signal, (code) => told.current(code));
    };
    start().catch((error: unknown) => over.signal.aborted || setState(troubleOf(error)));
    return () => {
      over.abort();
      if (stream) stop(stream);
      setTrack(null);
      setState("off");
    };
  }, [wanted, facing]);

  return {
    video, state, torch, canFlip,
    switchTorch: () => void track?.applyConstraints({ advanced: [{ torch: !torch } as Torch] }).then(() => setTorch(!torch), () => setTorch(undefined)),
    flip: () => setFacing(facing === "user" ? "environment" : "user"),
  };
}

async function open(facing: Facing): Promise<MediaStream> {
  if (!isSecureContext) throw new DOMException("", "SecurityError");
  if (!navigator.mediaDevices) throw new DOMException("", "NotFoundError");
  return navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: { ideal: facing }, width: { ideal: 1280 }, height: { ideal: 720 } } });
}

const stop = (stream: MediaStream) => stream.getTracks().forEach((track) => track.stop());

async function look(video: HTMLVideoElement, over: AbortSignal, found: (code: string) => void): Promise<void> {
  const decode = await decoder();
  while (!over.aborted) {
    const code = document.visibilityState === "visible" ? await decode(video).catch(() => undefined) : undefined;
    if (code && !over.aborted) found(code);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function troubleOf(error: unknown): Trouble {
  const { name } = error as DOMException;
  if (name === "NotAllowedError") return "notAllowed";
  if (name === "SecurityError") return "insecure";
  return name === "NotFoundError" || name === "OverconstrainedError" ? "noCamera" : "inUse";
}
