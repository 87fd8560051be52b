// Writes points with the two JavaScript clients of InfluxDB:
//   node send.mjs ADDRESS TIME-IN-SECONDS
import { InfluxDB as Influx1, FieldType } from "influx";
import { InfluxDB as Influx2, Point } from "@influxdata/influxdb-client";

const [address, seconds] = process.argv.slice(2);
const at = new Date(Number(seconds) * 1000);
const { hostname, port } = new URL(address);

const first = new Influx1({
  host: hostname,
  port: Number(port),
  database: "js1",
  schema: [{ measurement: "js_air", tags: ["city"], fields: { celsius: FieldType.FLOAT, drops: FieldType.INTEGER, rain: FieldType.BOOLEAN, note: FieldType.STRING } }],
});
await first.ping(5000);
await first.createDatabase("js1");
await first.writePoints(
  [{ measurement: "js_air", tags: { city: "São Paulo, BR" }, fields: { celsius: -2.5e-7, drops: 9007199254740991, rain: true, note: 'a "b"' }, timestamp: at }],
  { precision: "ms" },
);
const names = { databases: await first.getDatabaseNames(), measurements: await first.getMeasurements("js1") };

const second = new Influx2({ url: address, token: "any" });
const api = second.getWriteApi("any", "js2", "ms", { gzipThreshold: 0, defaultTags: { site: "a=b" } });
api.writePoint(new Point("js_sea").tag("unit", "m s").floatField("depth", 21.125).intField("count", -3).uintField("big", "4").booleanField("wet", false).stringField("s", "x").timestamp(at));
await api.close();

console.log(JSON.stringify(names));
