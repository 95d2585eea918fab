// @vitest-environment happy-dom
/** The hooks in a rendered page: what somebody would see and press. */

import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { StrictMode, useState, type ReactNode } from "react";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Hallway } from "hallway-client";
import { HallwayProvider, useConversation, useConversations, useHallway, usePeople, usePresence, useTyping } from "hallway-client/react";
import { Server } from "./server.js";
import { eventually } from "./page.js";
import { until } from "./until.js";

let server: Server;
let bob: Hallway;

beforeAll(async () => {
  server = await Server.start();
  bob = await server.person("bob", { name: "Bob" });
});
afterAll(() => server.stop());
afterEach(cleanup);

function Banner(): ReactNode {
  const { state, me } = useHallway();
  return (
    <p role="status">
      {state.status} {me?.user}
    </p>
  );
}

function List(): ReactNode {
  const { rows, ready, unread } = useConversations();
  return (
    <ul aria-label="conversations" data-ready={ready} data-unread={unread}>
      {rows.map(({ conversation, unread, last }) => (
        <li key={conversation}>{`${conversation} ${unread} ${last?.text ?? ""}`}</li>
      ))}
    </ul>
  );
}

function Room({ id }: { id: string }): ReactNode {
  const { items, status, send, react, complete } = useConversation(id);
  const { typing, setTyping } = useTyping(id);
  const [text, setText] = useState("");
  return (
    <section aria-label="room" data-status={status} data-complete={complete}>
      {items.map((item) =>
        item.kind === "message" ? (
          <article key={item.key} data-state={item.state} onClick={() => item.seq && void react(item.seq, "👍")}>
            {`${item.from}: ${item.text}${item.reactions.map(({ emoji, count }) => ` ${emoji}${count}`).join("")}`}
          </article>
        ) : null,
      )}
      <p>{typing.map(({ user }) => `${user} is typing`)}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send(text);
          setText("");
        }}
      >
        <input
          aria-label="message"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setTyping();
          }}
        />
      </form>
    </section>
  );
}

function Directory({ query }: { query: string }): ReactNode {
  const { people, loading } = usePeople(query);
  const presence = usePresence("bob");
  return (
    <aside aria-label="people" data-loading={loading}>
      {people.map(({ user }) => (
        <span key={user}>{user}</span>
      ))}
      <b>{`${presence?.status} ${presence?.text ?? ""}`}</b>
    </aside>
  );
}

const articles = (): (string | null)[] => screen.queryAllByRole("article").map(({ textContent }) => textContent);

test("a page shows the list, the room, who types and how people are, and says what it is doing", async () => {
  const alice = server.client(await server.account("alice"));
  const direct = await bob.openDirect("alice");
  await bob.send(direct, "hello alice").placed;
  render(
    <StrictMode>
      <HallwayProvider client={alice}>
        <Banner />
        <List />
        <Room id={direct} />
        <Directory query="bo" />
      </HallwayProvider>
    </StrictMode>,
  );
  await eventually("it is online", () => screen.getByRole("status").textContent === "online alice");
  await eventually("the list is there", () => screen.queryByText(`${direct} 1 hello alice`));
  await eventually("the room is there", () => articles()[0] === "bob: hello alice");
  await eventually("the directory found him", () => screen.getByLabelText("people").textContent?.startsWith("bob"));
  await eventually("he is online", () => screen.queryByText(/^online/, { selector: "b" }));

  await bob.setPresence("away", "at lunch");
  await eventually("he is away", () => screen.queryByText("away at lunch"));
  bob.conversation(direct).typing();
  await eventually("he is typing", () => screen.queryByText("bob is typing"));

  const input = screen.getByLabelText("message");
  fireEvent.change(input, { target: { value: "hello bob" } });
  await until("bob sees her typing", () => bob.conversation(direct).getSnapshot().typing.length);
  fireEvent.submit(input);
  expect(articles()).toEqual(["bob: hello alice", "alice: hello bob"]);
  const mine = screen.getByText("alice: hello bob");
  await eventually("it is sent", () => mine.dataset.state === "sent");
  // The same element from unsent to sent: nothing blinks.
  expect(screen.getByText("alice: hello bob")).toBe(mine);
  await until("bob has it", () => bob.conversations.get(direct)?.last?.text === "hello bob");

  fireEvent.click(screen.getByText("bob: hello alice"));
  await eventually("her reaction is there", () => screen.queryByText("bob: hello alice 👍1"));
  expect(screen.getByLabelText("conversations").dataset.unread).toBe("0");

  act(() => alice.pause());
  expect(screen.getByRole("status").textContent).toBe("paused alice");
  fireEvent.change(input, { target: { value: "written offline" } });
  fireEvent.submit(input);
  expect(screen.getByText("alice: written offline").dataset.state).toBe("queued");
  await bob.send(direct, "said meanwhile").placed;
  act(() => alice.resume());
  await eventually(
    "both are there",
    () => articles().includes("bob: said meanwhile") && screen.queryByText("alice: written offline")?.dataset.state === "sent",
  );
  expect(articles()).toEqual(["bob: hello alice 👍1", "alice: hello bob", "bob: said meanwhile", "alice: written offline"]);
});

test("a conversation that one may not read says so", async () => {
  const eve = server.client(await server.account("eve"));
  render(
    <HallwayProvider client={eve}>
      <Room id="dm~alice~bob" />
    </HallwayProvider>,
  );
  await eventually("it is refused", () => screen.getByLabelText("room")?.dataset.status === "refused");
  expect(articles()).toEqual([]);
});

test("the page pauses in the background and comes back in the foreground", async () => {
  const carol = server.client(await server.account("carol"), { backgroundMs: 50 });
  render(
    <HallwayProvider client={carol}>
      <Banner />
      <Room id="lobby" />
    </HallwayProvider>,
  );
  await eventually("it is online", () => screen.getByRole("status").textContent === "online carol");
  const look = (hidden: boolean): void => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  };
  look(true);
  await eventually("it paused", () => screen.getByRole("status").textContent === "paused carol");
  await bob.send("lobby", "while you were away").placed;
  look(false);
  await eventually("it is back, with what was missed", () => articles().includes("bob: while you were away"));
  window.dispatchEvent(new Event("offline"));
  await eventually("it waits", () => screen.getByRole("status").textContent !== "online carol");
  window.dispatchEvent(new Event("online"));
  await eventually("it is online again", () => screen.getByRole("status").textContent === "online carol");
});
