// @vitest-environment happy-dom
/** Topics: a shared board in a page, and who is at it. */

import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { useState, type ReactNode } from "react";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { HallwayProvider, useWebSocketSubscribe } from "hallway-client/react";
import { topicOf, useTopic, type TopicMessage } from "hallway-client/topics";
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
  proxy.cut();
  await until("it is noticed", () => !topic.getSnapshot().connected);
  expect(topic.getSnapshot().userList).toEqual([]);
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
