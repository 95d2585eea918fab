// @vitest-environment happy-dom
/** Topics: a shared board in a page, and who is at it. */

import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { useState, type ReactNode } from "react";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { HallwayProvider, useWebSocketSubscribe } from "hallway-client/react";
import { HallwayError, type Hallway } from "hallway-client";
import { MAX_WAITING, topicOf, useTopic, type Topic, type TopicMessage, type TopicSnapshot } from "hallway-client/topics";
import { Proxy } from "./proxy.js";
import { Server } from "./server.js";
import { eventually } from "./page.js";
import { until } from "./until.js";

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());
afterEach(cleanup);

const TOPIC = "exchange/board:lobby";

function Board(): ReactNode {
  const [lines, setLines] = useState<string[]>([]);
  const { userList, subscriber, unsubscriber, connectionId, connected, sendMessage, storeMessage } = useWebSocketSubscribe<{
    line: string;
  }>(TOPIC, ({ type, sender, payload }) => setLines((before) => [...before, `${sender} ${type} ${payload.line}`]));
  return (
    <section
      aria-label="board"
      data-connected={connected}
      data-cid={connectionId}
      data-came={subscriber?.user}
      data-went={unsubscriber?.user}
    >
      <p aria-label="who">
        {userList
          .map(({ user, cids }) => `${user}:${cids.length}`)
          .sort()
          .join(" ")}
      </p>
      <ol aria-label="lines">{lines.join(", ")}</ol>
      <button onClick={() => storeMessage("draw", { line: "kept" })}>store</button>
      <button onClick={() => sendMessage("wave", { line: "passing" })}>send</button>
    </section>
  );
}

test("a board is drawn by all, says who is at it, and shows who comes later what was stored", async () => {
  const [ann, ben] = [await server.person("ann"), await server.person("ben")];
  const page = render(
    <HallwayProvider client={ann}>
      <Board />
    </HallwayProvider>,
  );
  const board = (): HTMLElement => screen.getByLabelText("board");
  await eventually("it is connected", () => board().dataset.connected === "true");
  expect(board().dataset.cid).toBeTruthy();
  fireEvent.click(screen.getByText("store"));
  fireEvent.click(screen.getByText("send"));
  await eventually("ann sees her own", () => screen.getByLabelText("lines").textContent === "ann draw kept, ann wave passing");

  const heard: TopicMessage[] = [];
  const topic = topicOf(ben, TOPIC);
  const leave = useTopic(ben, topic, (message) => heard.push(message));
  await until("ben is told what was stored", () => heard.length === 1);
  expect(heard[0]).toMatchObject({ type: "draw", sender: "ann", store: true, payload: { line: "kept" } });
  await eventually("ann sees ben come", () => screen.getByLabelText("who").textContent === "ann:1 ben:1" && board().dataset.came === "ben");
  topic.send("draw", { line: "by ben" });
  await eventually("ann sees what ben draws", () => screen.getByLabelText("lines").textContent?.endsWith("ben draw by ben"));
  leave();
  await eventually("ann sees ben go", () => screen.getByLabelText("who").textContent === "ann:1" && board().dataset.went === "ben");

  const again = topicOf(ben, TOPIC);
  useTopic(ben, again, () => {});
  await until("ben is there again", () => again.getSnapshot().userList.length === 2);
  page.unmount();
  await until("ann is gone with her page", () => again.getSnapshot().userList.length === 1);
});

test("a topic is subscribed again after its connection broke, and tells what was stored once", async () => {
  const proxy = await Proxy.start(server.port);
  const cara = server.client(await server.account("cara"), proxy.through).connect();
  await cara.whenSynced();
  const topic = topicOf(cara, "exchange/board:help");
  const heard: string[] = [];
  useTopic(cara, topic, ({ payload }) => heard.push(String(payload)));
  await until("it is connected", () => topic.getSnapshot().connected);
  topic.send("draw", "one", true);
  await until("it is heard", () => heard.length === 1);
  const before = topic.getSnapshot().connectionId;
  const broken = new Promise<TopicSnapshot>((resolve) =>
    topic.subscribe(() => {
      if (!topic.getSnapshot().connected) resolve(topic.getSnapshot());
    }),
  );
  proxy.cut();
  expect((await broken).userList).toEqual([]);
  topic.send("draw", "two, said meanwhile", true);
  await until("it is back as another connection", () => topic.getSnapshot().connected && topic.getSnapshot().connectionId !== before);
  await until("what was said meanwhile is heard", () => heard.length === 2);
  expect(heard).toEqual(["one", "two, said meanwhile"]);
  cara.pause();
  expect(topic.getSnapshot().connected).toBe(false);
  cara.resume();
  await until("it is back with the client", () => topic.getSnapshot().connected);
  expect(heard).toHaveLength(2);
  proxy.stop();
});

/** Somebody who sends over a line that can be cut, and somebody who hears it by another. */
async function pair(uid: string, name: string): Promise<{ proxy: Proxy; client: Hallway; topic: Topic; heard: string[] }> {
  const proxy = await Proxy.start(server.port);
  const client = server.client(await server.account(uid), proxy.through).connect();
  const other = await server.person(`${uid}-hears`);
  await client.whenSynced();
  const heard: string[] = [];
  const there = topicOf(other, name);
  useTopic(other, there, ({ payload }) => heard.push(String(payload)));
  await until("the other one is there", () => there.getSnapshot().connected);
  return { proxy, client, topic: topicOf(client, name), heard };
}

test("what is sent while the client is paused goes out in order when it is back, stored or not", async () => {
  const { proxy, client, topic, heard } = await pair("dora", "exchange/board:paused");
  useTopic(client, topic, () => {});
  await until("it is connected", () => topic.getSnapshot().connected);
  client.pause();
  const sent = [1, 2, 3, 4].map((number) => topic.send("draw", `line ${number}`, number % 2 === 1));
  client.resume();
  await Promise.all(sent);
  await until("all are heard", () => heard.length === 4);
  expect(heard).toEqual(["line 1", "line 2", "line 3", "line 4"]);
  proxy.stop();
});

test("a stored message that was written to a dead connection is sent again", async () => {
  const { proxy, client, topic, heard } = await pair("emil", "exchange/board:dead");
  proxy.freeze();
  const states: string[] = [];
  client.on("state", ({ status }) => states.push(status));
  const stored = Promise.all([topic.send("draw", "one", true), topic.send("draw", "two", true)]);
  proxy.cut();
  await stored;
  expect(states).toContain("waiting");
  await until("both are heard", () => heard.length === 2);
  expect(heard).toEqual(["one", "two"]);
  proxy.stop();
});

test("what is refused, too much or given up is told by the promise", async () => {
  const { proxy, client, topic, heard } = await pair("fred", "exchange/board:refused");
  await expect(topic.send("draw", "x".repeat(100_000), true)).rejects.toBeInstanceOf(HallwayError);
  await topic.send("draw", "small", true);
  await until("the next one is heard", () => heard.length === 1);
  client.pause();
  const waiting = Array.from({ length: MAX_WAITING }, (_, number) => topic.send("draw", number, true));
  await expect(topic.send("draw", "too many", true)).rejects.toMatchObject({ reason: "outbox_full" });
  await client.signOut();
  for (const one of waiting) await expect(one).rejects.toMatchObject({ reason: "signed_out" });
  proxy.stop();
});
