/** A prompt as a person reads it: a text, or messages with who says them. */
import type { Text } from "../../text/rows.js";

/** Prompt in the page. */
export function Prompt({ text }: { text: Text }) {
  if (typeof text === "string") return <span class="text">{text}</span>;
  const [only] = text;
  if (text.length === 1 && only?.role === "user") return <span class="text">{words(only.content)}</span>;
  return (
    <>
      {text.map(({ role, content }, i) => (
        <span class="text turn" key={i}>
          <small>{role}</small> {words(content)}
        </span>
      ))}
    </>
  );
}

const words = (content: unknown): string => (typeof content === "string" ? content : JSON.stringify(content));
