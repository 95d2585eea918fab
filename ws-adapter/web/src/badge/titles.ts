// What conversations are called, where only their ids are told.
import { useStore } from "../chat/signal";
import { useChat } from "../ui/context";

export function useTitles(): (conversation: string) => string {
  const { rows } = useStore(useChat().client.conversations);
  return (conversation) => rows.find((row) => row.conversation === conversation)?.title || conversation;
}
