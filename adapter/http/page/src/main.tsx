// The console: which page is at which address, the frame around it, and signing in.
import { useSignal } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { API, call, needsToken, outage } from "./api";
import { Link, address, place, root } from "./router";
import { Start, Workflows } from "./start";
import { Thread } from "./thread";
import { Threads } from "./threads";
import { Wrong, announced } from "./ui";

interface Service {
  version: string;
  namespace: string;
  temporal_ui: string | null;
  links: boolean;
}

const THEMES = ["system", "light", "dark"];
const THEME_KEY = "agent-framework-temporal.theme";

function kept(): string {
  try {
    return localStorage.getItem(THEME_KEY) ?? "system";
  } catch {
    return "system";
  }
}

function setTheme(theme: string): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // It is forgotten then.
  }
}

setTheme(kept());

function Theme() {
  const theme = useSignal(kept());
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system";
  return (
    <button
      type="button"
      class="quiet-button"
      aria-label={`Colours: ${theme.value}. Change to ${next}`}
      onClick={() => {
        theme.value = next;
        setTheme(next);
      }}
    >
      {theme.value === "dark" ? "☾ Dark" : theme.value === "light" ? "☀ Light" : "◐ Auto"}
    </button>
  );
}

function SignIn() {
  const error = useSignal<unknown>(null);
  const signIn = async (event: Event) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const body = new URLSearchParams({ token: String(new FormData(form).get("token") ?? "") });
    const response = await fetch(`${root}/session`, { method: "POST", body, redirect: "manual" });
    if (response.type === "opaqueredirect" || response.ok) {
      needsToken.value = false;
    } else {
      error.value = new Error("This token is not valid.");
    }
  };
  return (
    <section class="card sign-in" aria-label="Sign in">
      <h1>Sign in</h1>
      <p class="hint">This service needs a token. Whoever started the service has it.</p>
      <form onSubmit={(event) => void signIn(event)}>
        <div class="field">
          <label htmlFor="token">Token</label>
          <input id="token" type="password" name="token" autocomplete="current-password" required />
        </div>
        <Wrong error={error.value} />
        <button type="submit" class="first">
          Sign in
        </button>
      </form>
    </section>
  );
}

function Page({ service }: { service: Service | null }) {
  const [part, id] = place.value.parts;
  const links = service?.links ?? false;
  if (part === undefined) return <Threads />;
  if (part === "threads" && id !== undefined) return <Thread key={id} id={id} links={links} />;
  if (part === "workflows") return id === undefined ? <Workflows /> : <Start key={id} name={id} />;
  return <p class="empty">There is nothing at this address.</p>;
}

function Console() {
  const service = useSignal<Service | null>(null);
  const signsIn = needsToken.value;
  useEffect(() => {
    if (!signsIn) void call<Service>(`${API}/service`).then((said) => (service.value = said), () => undefined);
  }, [signsIn]);
  const [part, id] = place.value.parts;
  useEffect(() => {
    document.title = [id ?? (part === "workflows" ? "Workflows" : "Threads"), "agent-framework-temporal"].join(" · ");
  }, [part, id]);
  return (
    <>
      <a class="skip" href="#content">
        Skip to content
      </a>
      <header class="top">
        <Link to={address()} class="brand">
          <span class="brand-dot" aria-hidden="true" />
          Console
        </Link>
        <nav aria-label="Main">
          <Link to={address()} current={part !== "workflows"}>
            Threads
          </Link>
          <Link to={address("workflows", "")} current={part === "workflows"}>
            Workflows
          </Link>
        </nav>
        {service.value && <span class="quiet namespace">{service.value.namespace}</span>}
        <Theme />
      </header>
      <main id="content" tabIndex={-1}>
        {outage.value && (
          <p class="note toast" role="status">
            {outage.value}
          </p>
        )}
        {signsIn ? <SignIn /> : <Page service={service.value} />}
      </main>
      <p class="unseen" role="status" aria-live="polite">
        {announced.value}
      </p>
    </>
  );
}

const app = document.getElementById("app");
if (app) {
  app.textContent = "";
  render(<Console />, app);
}
