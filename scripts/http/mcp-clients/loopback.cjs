// What listens without a host listens on loopback: other people's test servers choose every interface.
const net = require("node:net");

const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (...given) {
  const [first, second] = given;
  if (first !== null && typeof first === "object" && "port" in first && !first.host) {
    given[0] = { ...first, host: "127.0.0.1" };
  } else if ((typeof first === "number" || /^\d+$/.test(first)) && typeof second !== "string") {
    given.splice(1, 0, "127.0.0.1");
  }
  return listen.apply(this, given);
};
