import AsyncStorage from "@react-native-async-storage/async-storage";
import { asyncStorage, createClient, login, register, type Hallway } from "hallway-client";
import { HallwayProvider, useConversation, useHallway, useTyping } from "hallway-client/react";
import { useEffect, useState } from "react";
import { AppState, FlatList, KeyboardAvoidingView, Pressable, SafeAreaView, Text, TextInput } from "react-native";

const url = process.env.EXPO_PUBLIC_HALLWAY_URL ?? "http://127.0.0.1:8080";

export default function App() {
  const [client, setClient] = useState<Hallway>();
  // Phones cut sockets of apps in the background: say so, and come back in the foreground.
  useEffect(() => {
    const watch = AppState.addEventListener("change", (state) => {
      if (state === "background") client?.pause();
      if (state === "active") client?.resume();
    });
    return () => watch.remove();
  }, [client]);
  return (
    <SafeAreaView style={{ flex: 1, padding: 16 }}>
      {client ? (
        <HallwayProvider client={client}>
          <Room id="lobby" />
        </HallwayProvider>
      ) : (
        <SignIn done={setClient} />
      )}
    </SafeAreaView>
  );
}

function SignIn({ done }: { done: (client: Hallway) => void }) {
  const [uid, setUid] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState("");
  const submit = async () => {
    const credentials = { url, conference: "demo", uid: uid.trim().toLowerCase(), password };
    try {
      const account = await login(credentials).catch(() => register(credentials));
      done(createClient({ url, ...account, storage: asyncStorage(AsyncStorage), device: "Expo" }));
    } catch (error) {
      setError((error as Error).message);
    }
  };
  return (
    <>
      <TextInput placeholder="name" autoCapitalize="none" value={uid} onChangeText={setUid} />
      <TextInput placeholder="password" secureTextEntry value={password} onChangeText={setPassword} />
      <Pressable onPress={submit}>
        <Text>Come in</Text>
      </Pressable>
      <Text>{error}</Text>
    </>
  );
}

function Room({ id }: { id: string }) {
  const { state } = useHallway();
  const { items, send, loadOlder } = useConversation(id);
  const { typing, setTyping } = useTyping(id);
  const [text, setText] = useState("");
  const submit = () => {
    if (text.trim()) send(text);
    setText("");
  };
  return (
    <KeyboardAvoidingView behavior="padding" style={{ flex: 1 }}>
      <Text>{state.status}</Text>
      <FlatList
        inverted
        data={items.filter((item) => item.kind === "message").reverse()}
        keyExtractor={(item) => item.key}
        onEndReached={() => loadOlder()}
        renderItem={({ item }) => (
          <Text style={{ opacity: item.state === "sent" ? 1 : 0.5 }}>
            {item.name}: {item.deleted ? "(deleted)" : item.text} {item.failure ? `(not sent: ${item.failure.message})` : ""}
          </Text>
        )}
      />
      <Text>{typing.map(({ name }) => `${name} is typing`).join(", ")}</Text>
      <TextInput
        placeholder="Message"
        value={text}
        onChangeText={(now) => {
          setText(now);
          setTyping();
        }}
        onSubmitEditing={submit}
        submitBehavior="submit"
      />
    </KeyboardAvoidingView>
  );
}
