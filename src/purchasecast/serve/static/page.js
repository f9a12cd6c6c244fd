// Makes a page smoother that also works without JavaScript: suggestions, results in place, a progress bar.

const result = document.getElementById("result");

/** Get the result of a form from the server and show it; show errors at their fields. */
async function ask(form) {
  const query = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...query]) {
    if (!value.trim() && !name.startsWith("if:")) query.delete(name, value);
  }
  result.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(`/ui/result?${query}`, { headers: { accept: "text/html" } });
    if (answer.status === 401) return location.reload();
    const text = await answer.text();
    if (answer.ok) {
      clearErrors(document.getElementById("ask"));
      result.innerHTML = text;
      history.replaceState(null, "", `/?${query}`);
      const { top } = result.getBoundingClientRect();
      if (top < 0 || top > innerHeight / 2) result.scrollIntoView({ block: "start" });
    } else if (answer.status === 422) {
      showErrors(form, new DOMParser().parseFromString(text, "text/html"));
    } else {
      result.replaceChildren(paragraph("The server is busy; try again in a moment."));
    }
  } catch {
    result.replaceChildren(paragraph("The server cannot be reached."));
  } finally {
    result.removeAttribute("aria-busy");
  }
}

function paragraph(text) {
  const made = document.createElement("p");
  made.className = "error";
  made.setAttribute("role", "alert");
  made.textContent = text;
  return made;
}

function clearErrors(form) {
  for (const place of form.querySelectorAll("[data-error]")) place.hidden = true;
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  for (const summary of form.querySelectorAll(":scope > .error")) summary.remove();
}

/** Show each error at its field, and focus the first field. */
function showErrors(form, answer) {
  clearErrors(form);
  let first = null;
  for (const item of answer.querySelectorAll("[data-field]")) {
    const name = item.dataset.field;
    const control = form.elements.namedItem(name) ?? form.elements.namedItem(`if:${name}`);
    const place = [...form.querySelectorAll("[data-error]")].find((p) => p.dataset.error === name);
    if (place) {
      place.textContent = item.textContent;
      place.hidden = false;
    } else {
      form.append(paragraph(item.textContent));
    }
    if (control instanceof HTMLElement) {
      control.setAttribute("aria-invalid", "true");
      first ??= control;
    }
  }
  first?.focus();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.id === "ask" || form.id === "what-if") {
    event.preventDefault();
    ask(form);
  } else if (form.id === "upload") {
    event.preventDefault();
    send(form);
  }
});

/** Turn an input into a combobox of the customers or products that the model knows. */
function makeSearch(input) {
  const role = input.dataset.search;
  const list = document.createElement("ul");
  list.className = "choices";
  list.id = `${input.id}-choices`;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", document.querySelector(`label[for="${input.id}"]`).textContent);
  list.hidden = true;
  const none = input.parentElement.querySelector("[data-none]");
  const status = document.createElement("p");
  status.className = "unseen-by-eyes";
  status.setAttribute("role", "status");
  input.after(list, status);
  for (const [name, value] of Object.entries({
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  })) input.setAttribute(name, value);
  let found = [], active = -1, asked = 0, timer = 0;

  const close = () => {
    clearTimeout(timer);
    asked += 1;
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const mark = (place) => {
    active = place;
    [...list.children].forEach((item, k) => item.setAttribute("aria-selected", String(k === place)));
    if (place >= 0) {
      input.setAttribute("aria-activedescendant", list.children[place].id);
      list.children[place].scrollIntoView({ block: "nearest" });
    }
  };

  const choose = (place) => {
    input.value = found[place].id;
    for (const [name, value] of Object.entries(found[place].attributes)) {
      const control = input.form.elements.namedItem(name);
      if (!control) continue;
      const text = value === null ? "" : String(value);
      control.value = text;
    }
    close();
  };

  const search = async () => {
    const mine = (asked += 1);
    const answer = await fetch(`/v1/search/${role}?${new URLSearchParams({ q: input.value.trim() })}`).catch(() => null);
    if (!answer?.ok || mine !== asked) return;
    found = (await answer.json()).found;
    if (mine !== asked) return;
    const isKnown = found.length > 0 || !input.value.trim();
    none.hidden = isKnown;
    status.textContent = isKnown ? `${found.length} found` : none.textContent;
    list.replaceChildren(...found.map((known, k) => {
      const item = document.createElement("li");
      item.id = `${list.id}-${k}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const name = document.createElement("div");
      const about = document.createElement("small");
      about.textContent = Object.values(known.attributes).filter((value) => value !== null).slice(0, 4).join(" · ");
      name.append(known.id, about);
      const rows = document.createElement("span");
      rows.textContent = `${Math.round(known.rows).toLocaleString("en")} purchases`;
      item.append(name, rows);
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(k); });
      return item;
    }));
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    active = -1;
  };

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) return search();
      const step = event.key === "ArrowDown" ? 1 : -1;
      mark((active + step + found.length) % found.length);
    } else if (event.key === "Enter" && !list.hidden && active >= 0) {
      event.preventDefault();
      choose(active);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  });
}

for (const input of document.querySelectorAll("[data-search]")) makeSearch(input);

/** Upload a file, show the progress, and offer the answer for download. */
function send(form) {
  const input = form.elements.namedItem("file");
  const [file] = input.files;
  const problem = document.getElementById("file-error");
  const done = document.getElementById("upload-done");
  const area = document.getElementById("upload-progress");
  const bar = document.getElementById("upload-bar");
  const state = document.getElementById("upload-state");
  const button = form.querySelector("button");
  const fail = (text) => {
    problem.textContent = text;
    problem.hidden = false;
    input.setAttribute("aria-invalid", "true");
    input.focus();
  };
  problem.hidden = true;
  input.removeAttribute("aria-invalid");
  done.replaceChildren();
  if (!file) return fail("Choose a file first.");
  if (file.size > Number(input.dataset.max)) return fail("This file is too large for the server. Split it.");

  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.responseType = "blob";
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) bar.value = (100 * event.loaded) / event.total;
  });
  request.upload.addEventListener("load", () => { state.textContent = "Predicting"; bar.removeAttribute("value"); });
  request.addEventListener("loadend", async () => {
    area.hidden = true;
    button.disabled = false;
    if (request.status === 200) return offer(request, file);
    const problemDetails = await request.response?.text().then(JSON.parse).catch(() => null);
    fail(problemDetails?.detail ?? "The server could not be reached.");
  });
  state.textContent = "Uploading";
  bar.value = 0;
  area.hidden = false;
  button.disabled = true;
  request.send(new FormData(form));

  function offer(answer, sent) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(answer.response);
    const [, name] = /filename="([^"]+)"/.exec(answer.getResponseHeader("content-disposition") ?? "") ?? [];
    link.download = name ?? `${sent.name}.scored`;
    link.textContent = `Download ${link.download}`;
    const bad = Number(answer.getResponseHeader("x-rows-without-prediction"));
    const rows = Number(answer.getResponseHeader("x-rows")).toLocaleString("en");
    done.append(`${rows} rows read${bad ? `, ${bad.toLocaleString("en")} of them without a prediction (the column “problem” says why)` : ""}. `, link);
    link.focus();
  }
}

/** Plan again while a slider moves; the newest answer wins. */
function makeCampaign(form) {
  const plan = document.getElementById("plan");
  let asked = 0, timer = 0;
  const update = async () => {
    const mine = (asked += 1);
    const query = new URLSearchParams(new FormData(form));
    plan.setAttribute("aria-busy", "true");
    const answer = await fetch(`/ui/campaign?${query}`, { headers: { accept: "text/html" } }).catch(() => null);
    if (mine !== asked) return;
    plan.removeAttribute("aria-busy");
    if (answer?.status === 401) return location.reload();
    if (!answer?.ok) return plan.replaceChildren(paragraph("The server is busy; try again in a moment."));
    plan.innerHTML = await answer.text();
    history.replaceState(null, "", `/campaign?${query}`);
  };
  form.addEventListener("input", (event) => {
    const shown = form.querySelector(`[data-of="${event.target.name}"]`);
    if (shown) shown.textContent = Number(event.target.value).toLocaleString("en");
    clearTimeout(timer);
    timer = setTimeout(update, 60);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); update(); });
}

const campaign = document.getElementById("campaign");
if (campaign) makeCampaign(campaign);
