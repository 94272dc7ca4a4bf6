/** A prompt as a person reads it: a text, or messages with who says them. */
import { contentText, type Text } from "../../text/messages.js";

/** Prompt in the page. */
export function Prompt({ text }: { text: Text }) {
  if (typeof text === "string") return <span class="text">{text}</span>;
  const [only] = text;
  if (text.length === 1 && only?.role === "user") return <span class="text">{contentText(only)}</span>;
  return (
    <>
      {text.map((message, i) => (
        <span class="text turn" key={i}>
          <small>{message.role}</small> {contentText(message)}
        </span>
      ))}
    </>
  );
}
