/** Waiting for what a rendered page shows. What React has put off is shown between two looks. */

import { act } from "@testing-library/react";
import { until } from "./until.js";

export const eventually = (what: string, found: () => unknown): Promise<unknown> =>
  until(what, async () => {
    await act(() => new Promise<void>((resolve) => setTimeout(resolve, 5)));
    return found();
  });
