// What listens without a host listens on loopback, and says where: test servers choose every interface.
const dns = require("node:dns");
const fs = require("node:fs");
const net = require("node:net");

// Who gives no host knows the port as soon as it listens: so this address needs no looking up.
const lookup = dns.lookup;

dns.lookup = function (name, options, callback) {
  if (name !== "127.0.0.1" || !callback) return lookup.apply(this, arguments);
  return options.all ? callback(null, [{ address: name, family: 4 }]) : callback(null, name, 4);
};

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...given) {
  const [first, second] = given;
  if (first !== null && typeof first === "object" && "port" in first && !first.host) {
    given[0] = { ...first, host: "127.0.0.1" };
  } else if ((typeof first === "number" || /^\d+$/.test(first)) && typeof second !== "string") {
    given.splice(1, 0, "127.0.0.1");
  }
  const told = process.env.LISTENING_FILE;
  if (told) {
    this.once("listening", () => fs.writeFileSync(told, String(this.address().port)));
  }
  return listen.apply(this, given);
};
