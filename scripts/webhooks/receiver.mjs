// A receiver that verifies callbacks by npm's standardwebhooks: 204 if one is genuine, 400 if not.
// Prints its address, and a line for each callback. The secret comes from SECRET.

import { createServer } from "node:http";
import { createRequire } from "node:module";

// The library lies where LIBRARY says, not beside this file.
const { Webhook } = createRequire(`${process.env.LIBRARY}/`)("standardwebhooks");
const webhook = new Webhook(process.env.SECRET);

function isGenuine(body, headers) {
  try {
    return webhook.verify(body, headers).data !== undefined;
  } catch {
    return false;
  }
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  const genuine = isGenuine(body, request.headers);
  const forged = isGenuine(body.replace('"type"', '"Type"'), request.headers);
  console.log(JSON.stringify({ id: JSON.parse(body).data.id, genuine, forged }));
  response.writeHead(genuine ? 204 : 400).end();
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
