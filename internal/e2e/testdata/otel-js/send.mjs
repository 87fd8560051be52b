// Sends metrics with the OpenTelemetry SDK for JavaScript.
//
//   node send.mjs json|proto|grpc HOST:PORT
import { MeterProvider, PeriodicExportingMetricReader, AggregationType } from '@opentelemetry/sdk-metrics';
import { resourceFromAttributes } from '@opentelemetry/resources';

const [protocol, address] = process.argv.slice(2);
const modules = { json: 'http', proto: 'proto', grpc: 'grpc' };
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${modules[protocol]}`);
const exporter = new OTLPMetricExporter(
  protocol === 'grpc' ? { url: `http://${address}` } : { url: `http://${address}/v1/metrics`, compression: 'gzip' });

// The reader only logs what fails; the exit code says it here.
let failed = null;
const { export: send } = exporter;
exporter.export = (metrics, done) => send.call(exporter, metrics, (result) => {
  failed ??= result.error ?? null;
  done(result);
});

const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3600_000 });
const provider = new MeterProvider({
  resource: resourceFromAttributes({ 'service.name': `js-${protocol}`, 'service.instance.id': '1', 'host.name': 'h' }),
  readers: [reader],
  views: [{ instrumentName: 'payload.size', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
const meter = provider.getMeter('e2e');
const orders = meter.createCounter('orders', { unit: '{order}', description: 'Orders taken.' });
orders.add(3, { 'order.state': 'paid' });
orders.add(4, { 'order.state': 'paid' });
meter.createGauge('queue.load', { unit: '1' }).record(0.5);
const duration = meter.createHistogram('request.duration', { unit: 's', advice: { explicitBucketBoundaries: [0.1, 1] } });
const size = meter.createHistogram('payload.size', { unit: 'By' });
for (const v of [0.05, 0.5, 0.6, 5]) {
  duration.record(v);
  size.record(1000 * v);
}
await provider.forceFlush();
await provider.shutdown();
if (failed) {
  console.error(failed);
  process.exit(1);
}
console.log('sent');
