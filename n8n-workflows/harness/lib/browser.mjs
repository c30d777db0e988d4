// A headless Chromium, driven by the DevTools protocol.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { start } from './process.mjs';
import { until } from './wait.mjs';

// Wide enough for the words of the longest workflow, fitted into it, to be read.
const WIDTH = 3600;
const HEIGHT = 1600;
const MARGIN = 24;

export class Browser {
	#process;
	#socket;
	#session;
	#lastId = 0;
	#answers = new Map();

	static async start(folder) {
		const browser = new Browser();
		const profile = join(folder, 'browser');
		browser.#process = start(
			process.env.CHROMIUM ?? 'chromium',
			[
				'--headless=new',
				'--no-sandbox',
				'--hide-scrollbars',
				'--remote-debugging-port=0',
				`--user-data-dir=${profile}`,
				`--window-size=${WIDTH},${HEIGHT}`,
				'about:blank',
			],
			{ log: join(folder, 'browser.log') },
		);
		// Chromium writes there where it listens.
		const file = join(profile, 'DevToolsActivePort');
		const [port, path] = await until('the browser listens', () => existsSync(file) && readFileSync(file, 'utf8').includes('/') && readFileSync(file, 'utf8').trim().split('\n'));
		await browser.#connect(`ws://127.0.0.1:${port}${path}`);
		return browser;
	}

	async #connect(url) {
		this.#socket = new WebSocket(url);
		await new Promise((resolve, reject) => {
			this.#socket.onopen = resolve;
			this.#socket.onerror = () => reject(new Error(`no connection to ${url}`));
		});
		this.#socket.onmessage = ({ data }) => {
			const { id, result, error } = JSON.parse(data);
			const answer = this.#answers.get(id);
			this.#answers.delete(id);
			if (error) answer?.reject(new Error(error.message));
			else answer?.resolve(result);
		};
		const { targetId } = await this.#send('Target.createTarget', { url: 'about:blank' });
		const { sessionId } = await this.#send('Target.attachToTarget', { targetId, flatten: true });
		this.#session = sessionId;
		await this.#send('Emulation.setDeviceMetricsOverride', { width: WIDTH, height: HEIGHT, deviceScaleFactor: 1, mobile: false });
	}

	#send(method, params = {}) {
		const id = ++this.#lastId;
		const answer = new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject }));
		this.#socket.send(JSON.stringify({ id, method, params, ...(this.#session && { sessionId: this.#session }) }));
		return answer;
	}

	/** Sends `cookies`, as a header has them, to `url` from now on. */
	async useCookies(url, cookies) {
		for (const cookie of cookies.split('; ')) {
			const [name, value] = cookie.split(/=(.*)/s);
			await this.#send('Network.setCookie', { url, name, value });
		}
	}

	async open(url) {
		await this.#send('Page.navigate', { url });
	}

	/** What an expression comes to in the page. */
	async evaluate(expression) {
		const { result } = await this.#send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
		return result.value;
	}

	/** Waits until an expression holds in the page. */
	async until(what, expression) {
		return until(what, () => this.evaluate(expression).catch(() => false));
	}

	/** The PNG of what the elements of a selector cover. */
	async picture(selector) {
		const { left, top, right, bottom } = await this.evaluate(`(() => {
			const boxes = [...document.querySelectorAll(${JSON.stringify(selector)})].map((element) => element.getBoundingClientRect());
			const most = (side, choose) => choose(...boxes.map((box) => box[side]));
			return { left: most('left', Math.min), top: most('top', Math.min), right: most('right', Math.max), bottom: most('bottom', Math.max) };
		})()`);
		const clip = { x: left - MARGIN, y: top - MARGIN, width: right - left + 2 * MARGIN, height: bottom - top + 2 * MARGIN, scale: 1 };
		const { data } = await this.#send('Page.captureScreenshot', { format: 'png', clip });
		return Buffer.from(data, 'base64');
	}

	async stop() {
		await this.#process.stop();
	}
}
