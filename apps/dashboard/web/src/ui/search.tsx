// The search box: suggests qualifiers and their values while one types.

import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import { accept, suggest } from "../lib/terms";

export function SearchBox(props: { value: string; names: string[]; search: (text: string) => void }): JSX.Element {
  const [text, setText] = useState(props.value);
  const [shown, setShown] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const list = useId();
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => setText(props.value), [props.value]);
  const found = shown ? suggest(text, props.names).slice(0, 12) : [];
  const take = (suggestion: string): void => {
    setText(accept(text, suggestion));
    setChosen(-1);
    box.current?.focus();
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setShown(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (found.length) setChosen((before) => (before + step + found.length + (before < 0 && step < 0 ? 1 : 0)) % found.length);
    } else if (event.key === "Escape") {
      if (shown && found.length) event.preventDefault();
      setShown(false);
      setChosen(-1);
    } else if (event.key === "Enter" && found[chosen]) {
      event.preventDefault();
      take(found[chosen].text);
    } else if (event.key === "Tab" && found[chosen] && !event.shiftKey) {
      event.preventDefault();
      take(found[chosen].text);
    }
  };
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        setShown(false);
        props.search(text.trim());
      }}
    >
      <label class="hidden-visually" for={`${list}-box`}>
        Which jobs
      </label>
      <input
        id={`${list}-box`}
        ref={box}
        type="text"
        data-search=""
        name="q"
        autocomplete="off"
        spellcheck={false}
        maxLength={2000}
        placeholder="state:failed error:timeout age<1h payload.user_id=7"
        role="combobox"
        aria-expanded={found.length > 0}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={found[chosen] ? `${list}-${chosen}` : undefined}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setShown(true);
          setChosen(-1);
        }}
        onFocus={() => setShown(true)}
        onBlur={() => setShown(false)}
        onKeyDown={onKey}
      />
      <button type="submit" class="button primary">
        Search
      </button>
      <ul class="suggestions" id={list} role="listbox" aria-label="Suggestions" hidden={!found.length}>
        {found.map((each, i) => (
          <li
            key={each.text}
            id={`${list}-${i}`}
            role="option"
            aria-selected={i === chosen}
            onMouseDown={(event) => {
              event.preventDefault();
              take(each.text);
            }}
          >
            <code>{each.text}</code>
            <span class="muted">{each.what}</span>
          </li>
        ))}
      </ul>
    </form>
  );
}
