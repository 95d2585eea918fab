// The words of the service worker, which loads nothing else. All others are in texts.ts.

export const words = {
  app: "Hallway",
  news: "You have a new message.",
};
