/** What can go wrong, as one class: the server's refusals with their stable words, and the few words of the client itself. */

export interface ErrorData {
  reason?: string;
  retry_after_ms?: number;
  epoch?: string;
}

/** The reasons that are the client's own; all others are the server's (PROTOCOL.md, "Errors"). */
export type ClientReason = "offline" | "disconnected" | "timeout" | "signed_out" | "outbox_full" | "too_old" | "discarded" | "bad_answer";

export class HallwayError extends Error {
  override readonly name = "HallwayError";
  /** JSON-RPC's or the server's code; 0 when the server did not say it. */
  readonly code: number;
  /** A stable word. */
  readonly reason: ClientReason | (string & {});
  /** When trying again may help. */
  readonly retryAfterMs: number | undefined;
  readonly data: ErrorData;

  constructor(reason: ClientReason | (string & {}), message: string = reason, code = 0, data: ErrorData = {}) {
    super(message);
    this.reason = reason;
    this.code = code;
    this.data = data;
    this.retryAfterMs = data.retry_after_ms;
  }

  /** Whether the same call may go well later without anybody doing anything. */
  get passing(): boolean {
    return this.code === 1050 || (this.code === 1029 && this.reason !== "quota") || CONNECTION.has(this.reason);
  }
}

const CONNECTION = new Set<string>(["offline", "disconnected", "timeout", "no_session"]);

/** The error of a JSON-RPC answer or of an HTTP body. */
export function refusal(error: { code?: number; message?: string; data?: ErrorData } | undefined, status = 0): HallwayError {
  const data = error?.data ?? {};
  return new HallwayError(data.reason ?? (status ? `http_${status}` : "bad_answer"), error?.message, error?.code ?? status, data);
}
