// Program otel-go sends metrics with the OpenTelemetry SDK for Go, as an instrumented
// service does. It is a module of its own, so that the server does not depend on it.
//
//	otel-go http|grpc HOST:PORT
package main

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("sent")
}

func run(ctx context.Context, protocol, address string) error {
	var exporter sdk.Exporter
	var err error
	switch protocol {
	case "http":
		exporter, err = otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(address), otlpmetrichttp.WithInsecure(), otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	case "grpc":
		exporter, err = otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(address), otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithCompressor("gzip"))
	default:
		err = fmt.Errorf("unknown protocol %q", protocol)
	}
	if err != nil {
		return err
	}
	provider := sdk.NewMeterProvider(
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "go-"+protocol), attribute.String("service.instance.id", "1"), attribute.String("host.name", "h"))),
		sdk.WithReader(sdk.NewPeriodicReader(exporter)),
		sdk.WithView(sdk.NewView(sdk.Instrument{Name: "payload.size"}, sdk.Stream{Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})),
	)
	meter := provider.Meter("e2e")
	orders, err := meter.Int64Counter("orders", metric.WithUnit("{order}"), metric.WithDescription("Orders taken."))
	if err != nil {
		return err
	}
	load, err := meter.Float64Gauge("queue.load", metric.WithUnit("1"))
	if err != nil {
		return err
	}
	duration, err := meter.Float64Histogram("request.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1))
	if err != nil {
		return err
	}
	size, err := meter.Int64Histogram("payload.size", metric.WithUnit("By"))
	if err != nil {
		return err
	}
	paid := metric.WithAttributes(attribute.String("order.state", "paid"))
	orders.Add(ctx, 3, paid)
	orders.Add(ctx, 4, paid)
	load.Record(ctx, 0.5)
	for _, v := range []float64{0.05, 0.5, 0.6, 5} {
		duration.Record(ctx, v)
		size.Record(ctx, int64(1000*v))
	}
	if err := provider.ForceFlush(ctx); err != nil {
		return err
	}
	return provider.Shutdown(ctx)
}
