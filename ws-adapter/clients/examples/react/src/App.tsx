import { createClient, login, register, type Hallway } from "hallway-client";
import { HallwayProvider, useConversation, useConversations, useHallway, useTyping } from "hallway-client/react";
import { useState, type FormEvent } from "react";

const url = import.meta.env.VITE_HALLWAY_URL ?? "http://127.0.0.1:8080";

export function App() {
  const [client, setClient] = useState<Hallway>();
  if (!client) return <SignIn done={setClient} />;
  return (
    <HallwayProvider client={client}>
      <Chat />
    </HallwayProvider>
  );
}

function SignIn({ done }: { done: (client: Hallway) => void }) {
  const [error, setError] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const { uid, password } = Object.fromEntries(new FormData(event.currentTarget)) as { uid: string; password: string };
    const credentials = { url, conference: "demo", uid, password };
    try {
      const account = await login(credentials).catch(() => register(credentials));
      done(createClient({ url, ...account }));
    } catch (error) {
      setError((error as Error).message);
    }
  };
  return (
    <form onSubmit={submit}>
      <input name="uid" aria-label="name" placeholder="name" required />
      <input name="password" aria-label="password" type="password" placeholder="password" required />
      <button>Come in</button>
      <p role="alert">{error}</p>
    </form>
  );
}

function Chat() {
  const { state, me } = useHallway();
  const { rows } = useConversations();
  const [open, setOpen] = useState("lobby");
  return (
    <main>
      <p role="status">
        {me?.name}: {state.status}
      </p>
      <nav>
        {rows.map(({ conversation, title, unread }) => (
          <button key={conversation} aria-current={conversation === open} onClick={() => setOpen(conversation)}>
            {title || conversation} {unread > 0 && <b>{unread}</b>}
          </button>
        ))}
      </nav>
      <Room key={open} id={open} />
    </main>
  );
}

function Room({ id }: { id: string }) {
  const { items, complete, loadOlder, send, react } = useConversation(id);
  const { typing, setTyping } = useTyping(id);
  const [text, setText] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim()) send(text);
    setText("");
  };
  return (
    <section>
      {!complete && <button onClick={() => loadOlder()}>Older</button>}
      {items.map((item) =>
        item.kind === "message" ? (
          <p key={item.key} style={{ opacity: item.state === "sent" ? 1 : 0.5 }}>
            <b>{item.name}</b> {item.deleted ? <i>deleted</i> : item.text}
            {item.reactions.map(({ emoji, count, mine }) => (
              <button key={emoji} aria-pressed={mine} onClick={() => item.seq && react(item.seq, emoji, !mine)}>
                {emoji} {count}
              </button>
            ))}
            {item.failure && <small> not sent: {item.failure.message}</small>}
          </p>
        ) : null,
      )}
      <p>{typing.map(({ name }) => `${name} is typing`).join(", ")}</p>
      <form onSubmit={submit}>
        <input
          aria-label="message"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setTyping();
          }}
        />
        <button>Send</button>
      </form>
    </section>
  );
}
