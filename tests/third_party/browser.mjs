// What operators do, done in a real browser: finds the cause of a stuck payment, redrives it, resolves one with a second person,
// sees a payment advance, works without the script; and pictures of every page, each looked at by axe-core.
//
// node browser.mjs '{"url": …, "key": …, "people": [[name, password], …], "shots": folder, "chromium": path, "tools": folder}'
import assert from "node:assert/strict";
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const told = JSON.parse(process.argv[2]);
const require = createRequire(path.join(told.tools, "node", "package.json"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true };
const PATIENCE = { timeout: 60_000 };

const browser = await puppeteer.launch({
  executablePath: told.chromium,
  headless: true,
  // Root has no sandbox, and a container's shared memory is small. What is opened is ours alone.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});
const problems = [];

async function visitor() {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport(DESKTOP);
  page.setDefaultTimeout(PATIENCE.timeout);
  // A policy that forbids something of ours shows here.
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of (401|403|404|409)/.test(message.text())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  return page;
}

async function follow(page, click) {
  await Promise.all([page.waitForNavigation(PATIENCE), typeof click === "string" ? page.click(click) : click()]);
}

async function logIn(page, [name, password]) {
  await page.goto(`${told.url}/ops`, PATIENCE);
  await page.type("[name=name]", name);
  await page.type("[name=password]", password);
  await follow(page, "form button");
}

const text = (page, selector = "main") => page.$eval(selector, (one) => one.innerText.replace(/\s+/g, " "));

async function link(page, words) {
  const found = await page.$$("main a, main button");
  for (const one of found) {
    if ((await one.evaluate((it) => it.innerText.replace(/\s+/g, " "))).includes(words)) return one;
  }
  throw new Error(`there is nothing to click that says ${words}: ${await text(page)}`);
}

let asked = 0;
async function api(method, route, body) {
  asked += 1;
  const headers = { Authorization: `Bearer ${told.key}`, "Idempotency-Key": `browser-${process.pid}-${asked}`, "Content-Type": "application/json" };
  const answer = await fetch(told.url + route, { method, headers, body: body && JSON.stringify(body) });
  return answer.json();
}

async function charge(paymentMethod, more = {}) {
  const made = await api("POST", "/v1/charges", { amount: 1200, currency: "eur", payment_method: paymentMethod, ...more });
  assert.ok(made.id, JSON.stringify(made));
  return made.id;
}

async function until(id, status) {
  for (let tries = 0; tries < 300; tries += 1) {
    const now = await api("GET", `/v1/charges/${id}`);
    if (now.status === status) return;
    await new Promise((go) => setTimeout(go, 100));
  }
  throw new Error(`${id} never became ${status}`);
}

async function step(name, work) {
  await work();
  console.log(`held: ${name}`);
}

const [ada, bob] = [await visitor(), await visitor()];
const stuck = await charge("pm_sandbox_amount_mismatch", { metadata: { order: "<b>7</b>" } });
await until(stuck, "in_review");

await step("who is not known is not let in", async () => {
  await logIn(ada, [told.people[0][0], "not the password at all"]);
  assert.match(await text(ada), /The name or the password is wrong/);
});

await step("the cause of a stuck payment is found within three clicks", async () => {
  await logIn(ada, told.people[0]);
  let clicks = 0;
  for (const words of ["wait for a person", stuck.slice(-6)]) {
    const next = await link(ada, words);
    await follow(ada, () => next.click());
    clicks += 1;
  }
  assert.ok(clicks <= 3);
  assert.match(ada.url(), new RegExp(stuck));
  assert.match(await text(ada, ".explain"), /expected 12\.00 EUR, the PSP says 12\.01 EUR/);
});

await step("a dead letter is redriven, after it was shown what that does", async () => {
  const redrive = await link(ada, "Redrive");
  await follow(ada, () => redrive.click());
  assert.match(await text(ada), /What it would do.*in review → reconciling/s);
  await ada.click("[name=decided]");
  await ada.type("[name=why]", "voided at the PSP's console");
  await follow(ada, "form.stack button.primary");
  assert.match(await text(ada), /Done: redrive/);
  const raw = await (await api("GET", `/v1/charges/${stuck}/history`)).data;
  assert.ok(raw.some((row) => row.event === "redriven" && row.actor === `operator:${told.people[0][0]}`));
});

await step("a payment is resolved with a second person", async () => {
  const id = await charge("pm_sandbox_amount_mismatch");
  await until(id, "in_review");
  await ada.goto(`${told.url}/ops/payments/${id}`, PATIENCE);
  const resolve = await link(ada, "Resolve");
  await follow(ada, () => resolve.click());
  await ada.select("[name=outcome]", "failed");
  const show = await link(ada, "Show what it would do");
  await follow(ada, () => show.click());
  assert.match(await text(ada), /What the approval would do.*in review → failed/s);
  await ada.type("[name=why]", "the PSP's console shows it voided");
  await follow(ada, "form.stack button.primary");
  await logIn(bob, told.people[1]);
  await bob.goto(`${told.url}/ops/payments/${id}`, PATIENCE);
  const look = await link(bob, "Look and approve");
  await follow(bob, () => look.click());
  await bob.type("[name=why]", "seen it too");
  await follow(bob, "form.stack button.primary");
  assert.match(await text(bob, ".explain"), /failed/);
  await until(id, "failed");
});

await step("a payment advances on the page without reloading", async () => {
  const id = await charge("pm_card_visa", { capture_method: "manual" });
  await until(id, "authorized");
  await ada.goto(`${told.url}/ops/payments/${id}`, PATIENCE);
  assert.match(await text(ada, ".explain"), /authorized/);
  await ada.evaluate(() => { window.sameAsBefore = true; });
  await api("POST", `/v1/charges/${id}/capture`, {});
  await ada.waitForFunction(() => document.querySelector(".explain .state").innerText.includes("succeeded"), PATIENCE);
  assert.equal(await ada.evaluate(() => window.sameAsBefore), true, "the page was loaded again");
});

await step("everything works without the script", async () => {
  const page = await visitor();
  await page.setJavaScriptEnabled(false);
  await logIn(page, told.people[1]);
  const id = await charge("pm_card_visa");
  await until(id, "succeeded");
  await page.goto(`${told.url}/ops/search?q=${id}`, PATIENCE);
  const note = await link(page, "Write a note");
  await follow(page, () => note.click());
  await page.type("[name=why]", "looked at without a script");
  await follow(page, "form.stack button.primary");
  assert.match(await text(page), /looked at without a script/);
});

// Pictures, and what axe-core says of each.
mkdirSync(told.shots, { recursive: true });
async function picture(page, name) {
  for (const [size, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
    await page.setViewport(viewport);
    await page.goto(page.url(), PATIENCE);
    for (const scheme of ["light", "dark"]) {
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value: scheme },
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      await page.screenshot({ path: path.join(told.shots, `${name}-${size}-${scheme}.png`), fullPage: true });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      for (const { id, help, nodes } of violations) {
        problems.push(`${name} ${size} ${scheme}: ${id}: ${help}: ${nodes[0].html} ${nodes[0].failureSummary}`);
      }
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 1) problems.push(`${name} ${size}: ${over} pixels wider than the screen`);
    }
  }
  await page.setViewport(DESKTOP);
}

await step("every page is drawn, and axe-core finds nothing", async () => {
  const stranger = await visitor();
  await stranger.goto(`${told.url}/ops/login`, PATIENCE);
  await picture(stranger, "login");
  const review = await charge("pm_sandbox_amount_mismatch", { description: "A <script> that is none" });
  await until(review, "in_review");
  const [done, action] = [await charge("pm_card_visa"), await charge("pm_card_authenticationRequired")];
  await until(done, "succeeded");
  await until(action, "requires_action");
  await ada.goto(`${told.url}/ops/dead-letters`, PATIENCE);
  const group = await ada.$eval("a[href*='redrive?group']", (one) => one.getAttribute("href"));
  for (const [name, route] of [
    ["overview", "/ops"],
    ["payments", "/ops/payments"],
    ["payments-none", "/ops/payments?state=expired"],
    ["search", "/ops/search?q=nothing"],
    ["payment-succeeded", `/ops/payments/${done}`],
    ["payment-waiting", `/ops/payments/${action}`],
    ["payment-in-review", `/ops/payments/${review}`],
    ["act-redrive", `/ops/payments/${review}/acts/redrive`],
    ["act-resolve", `/ops/payments/${review}/acts/resolve?outcome=failed`],
    ["dead-letters", "/ops/dead-letters"],
    ["redrive-many", group],
    ["webhooks", "/ops/webhooks"],
    ["psps", "/ops/psps"],
    ["definition", "/ops/definition"],
    ["audit", "/ops/audit"],
    ["not-found", "/ops/nothing"],
  ]) {
    await ada.goto(told.url + route, PATIENCE);
    await picture(ada, name);
  }
});

await browser.close();
assert.deepEqual(problems, []);
