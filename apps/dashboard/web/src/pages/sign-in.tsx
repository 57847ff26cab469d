// Who is not known yet, and how to change that.

import { useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import { base } from "../lib/api";
import { begin, failure, session, signIn } from "../lib/session";
import { Head, Trouble } from "../ui/parts";

export function SignIn(): JSX.Element {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const token = useRef<HTMLInputElement>(null);
  const name = useRef<HTMLInputElement>(null);
  const ways = session.value?.sign_in ?? [];
  const submit = (event: Event): void => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    signIn(token.current?.value ?? "", name.current?.value.trim() ?? "").catch((problem: unknown) => {
      setError(problem);
      setBusy(false);
      token.current?.select();
    });
  };
  return (
    <main class="sign-in">
      <div class="panel">
        <div class="body stack">
          <Head title="Sign in to Jobs" />
          {failure.value ? <Trouble error={failure.value} again={() => void begin()} /> : null}
          {ways.includes("oidc") ? (
            <a class="button primary" href={`${base}/sign-in/oidc`}>
              Sign in with your account
            </a>
          ) : null}
          {ways.includes("token") ? (
            <form class="stack" onSubmit={submit}>
              <label class="field">
                <span>Token</span>
                <input ref={token} type="password" name="token" autocomplete="current-password" required maxLength={1000} autofocus />
              </label>
              <label class="field">
                <span>Your name</span>
                <input ref={name} type="text" name="name" autocomplete="username" maxLength={100} />
                <span class="hint">The audit shows it beside what you change.</span>
              </label>
              {error ? <Trouble error={error} /> : null}
              <button type="submit" class="button primary" disabled={busy}>
                {busy ? "Signing in…" : "Sign in"}
              </button>
              <p class="hint">
                The tokens are what DASHBOARD_TOKEN, DASHBOARD_OPERATOR_TOKEN and DASHBOARD_VIEWER_TOKEN were set to where the dashboard was
                started.
              </p>
            </form>
          ) : null}
          {session.value && !ways.length ? (
            <p>Nobody can sign in here: only the machine of the dashboard may look. Set DASHBOARD_TOKEN where it is started to let others in.</p>
          ) : null}
          {ways.includes("proxy") ? <p>Come through the proxy that signs people in: it did not say who you are.</p> : null}
          {ways.includes("host") ? <p>Sign in to the application that this dashboard is part of, then load this page again.</p> : null}
        </div>
      </div>
    </main>
  );
}
