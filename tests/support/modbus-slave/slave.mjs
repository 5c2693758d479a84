// A Modbus slave for tests. Every value it serves is another one and is journaled before the answer leaves, so a test can
// check that a value the slave served arrived at the other end, and how often.
//
//   node slave.mjs [--port N | --serial PATH [--baud N]] [--unit N] [--journal FILE]
//
// TCP listens on 127.0.0.1:N (0 = any free port) and prints {"port":N} once it does; serial prints {"serial":PATH}.
// Requests to other units than --unit (1) are never answered, like a slave that is not there.
//
// Input registers   0,1  Counter      uint32  one more for each read that covers register 0
//                   2    Temperature  int16   tenths of a degree, 200 to 299, one more for each read
//                   3,4  Pressure     float   100 + n / 8, n one more for each read, starts over at 1000
// Holding register  16   Setpoint     int16   tenths, writable
//                   17   Limit        int16   refuses every write with exception 3
//                   18   Flags        uint16  writable; 0x8001 at first
// Coils             0    Running      changes with each read
//                   8    Valve        writable
// Everything else is exception 2, illegal data address.
//
// Journal, one JSON object a line: {"at":ms,"op":"read"|"write","name":"Counter","value":7,"unit":1}; values are scaled.

import fs from "node:fs";
import { parseArgs } from "node:util";
import modbus from "modbus-serial";
import { freePort } from "../free_port.mjs";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    serial: { type: "string" },
    baud: { type: "string", default: "9600" },
    unit: { type: "string", default: "1" },
    journal: { type: "string" },
  },
});
const unit = Number(options.unit);
const journal = options.journal ? fs.openSync(options.journal, "a") : -1;

function note(op, name, value) {
  if (journal < 0) return;
  fs.writeSync(journal, JSON.stringify({ at: Date.now(), op, name, value, unit }) + "\n");
}

function refuse(modbusErrorCode) {
  throw Object.assign(new Error("refused"), { modbusErrorCode });
}

function words(size, fill) {
  const bytes = Buffer.alloc(size * 2);
  fill(bytes);
  return Array.from({ length: size }, (_, i) => bytes.readUInt16BE(i * 2));
}

let counter = 0;
let temperatures = 0;
let pressures = 0;
let running = false;
let setpoint = 200;
let valve = false;
let flags = 0x8001;

// Each area: first address -> { size, read() } with read() returning that many registers or bits.
const inputs = new Map([
  [0, { size: 2, read: () => {
    counter = (counter + 1) >>> 0;
    note("read", "Counter", counter);
    return words(2, (bytes) => bytes.writeUInt32BE(counter));
  } }],
  [2, { size: 1, read: () => {
    const raw = 200 + (temperatures++ % 100);
    note("read", "Temperature", raw / 10);
    return [raw];
  } }],
  [3, { size: 2, read: () => {
    const value = 100 + (pressures++ % 1000) / 8;
    note("read", "Pressure", value);
    return words(2, (bytes) => bytes.writeFloatBE(value));
  } }],
]);
const holdings = new Map([
  [16, { size: 1, read: () => {
    note("read", "Setpoint", setpoint / 10);
    return [setpoint & 0xffff];
  } }],
  [17, { size: 1, read: () => {
    note("read", "Limit", 5);
    return [5];
  } }],
  [18, { size: 1, read: () => [flags] }],
]);
const coils = new Map([
  [0, { size: 1, read: () => {
    running = !running;
    note("read", "Running", running ? 1 : 0);
    return [running];
  } }],
  [8, { size: 1, read: () => {
    note("read", "Valve", valve ? 1 : 0);
    return [valve];
  } }],
]);

// A request must begin and end on the borders of values: half a value would be journaled but could not be read.
function read(area, address, length) {
  const found = [];
  for (let at = address; at < address + length; ) {
    const value = area.get(at);
    if (!value || at + value.size > address + length) refuse(2);
    found.push(value);
    at += value.size;
  }
  return found.flatMap((value) => value.read());
}

const vector = {
  getMultipleInputRegisters: (address, length) => read(inputs, address, length),
  getMultipleHoldingRegisters: (address, length) => read(holdings, address, length),
  getInputRegister: (address) => read(inputs, address, 1)[0],
  getHoldingRegister: (address) => read(holdings, address, 1)[0],
  getCoil: (address) => read(coils, address, 1)[0],
  getDiscreteInput: () => refuse(2),
  setRegister: (address, value) => {
    if (address === 17) refuse(3);
    if (address === 18) {
      flags = value;
      return note("write", "Flags", flags);
    }
    if (address !== 16) refuse(2);
    setpoint = value > 0x7fff ? value - 0x10000 : value;
    note("write", "Setpoint", setpoint / 10);
  },
  setCoil: (address, value) => {
    if (address !== 8) refuse(2);
    valve = Boolean(value);
    note("write", "Valve", valve ? 1 : 0);
  },
};

if (options.serial) {
  const server = new modbus.ServerSerial(vector, { port: options.serial, baudRate: Number(options.baud), unitID: unit });
  server.on("initialized", () => console.log(JSON.stringify({ serial: options.serial })));
  server.on("error", (error) => console.error(String(error)));
} else {
  // modbus-serial takes 0 for "the default", so a free port is looked for first.
  const port = Number(options.port) || (await freePort());
  const server = new modbus.ServerTCP(vector, { host: "127.0.0.1", port, unitID: unit });
  server.on("initialized", () => console.log(JSON.stringify({ port: server._server.address().port })));
  server.on("serverError", (error) => {
    console.error(String(error));
    process.exit(1);
  });
  server.on("socketError", () => {}); // a master that goes away is normal
}
