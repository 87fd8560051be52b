package ingest

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	"tsdb/storage"
)

const otlpExport = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

// TestOTLPOverGRPC: what is stored, and what is refused of it.
func TestOTLPOverGRPC(t *testing.T) {
	d := openDoor(t)
	conn, _ := dialRPC(t, d.in)
	c := pmetricotlp.NewGRPCClient(conn)
	export := func(md pmetric.Metrics, o ...grpc.CallOption) pmetricotlp.ExportPartialSuccess {
		t.Helper()
		r, err := c.Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(md), o...)
		if err != nil {
			t.Fatal(err)
		}
		return r.PartialSuccess()
	}
	for i := range int64(3) {
		if p := export(otlpCounter(base+i), grpc.UseCompressor([]string{"", "gzip", ""}[i])); p.RejectedDataPoints() != 0 || p.ErrorMessage() != "" {
			t.Error(p)
		}
	}
	if p := export(otlpCounter(1000, base+3)); p.RejectedDataPoints() != 1 || !strings.HasPrefix(p.ErrorMessage(), "partial write: 1 written, 1 refused: too old") {
		t.Error(p.RejectedDataPoints(), p.ErrorMessage())
	}
	if p := export(pmetric.NewMetrics()); p.RejectedDataPoints() != 0 {
		t.Error(p)
	}
	s := d.stored()[`{__name__="orders_total", job="shop"}`]
	if s == nil || fmt.Sprint(s.T) != fmt.Sprint([]int64{base, base + 1, base + 2, base + 3}) || s.StartAt(0) != base-5000 {
		t.Fatal(d.stored())
	}
	if n := d.budget.Used(); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
}

// rawMessage sends bytes that no client would.
type rawMessage struct{}

func (rawMessage) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (rawMessage) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
func (rawMessage) Name() string                    { return "proto" }

// TestOTLPErrorsOverGRPC: clients send a request again if the code is UNAVAILABLE, after
// the delay in its details, and drop it if it is INVALID_ARGUMENT.
func TestOTLPErrorsOverGRPC(t *testing.T) {
	busy := doortest.NewMemory()
	busy.OnCommit = func() error { return storage.ErrBusy }
	full := reqbody.NewBudget(reqbody.Options{Limit: 100})
	if err := full.NewCharge().Take(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	broken := doortest.NewMemory()
	broken.OnCommit = func() error { return fmt.Errorf("a fault") }
	options := func(b *reqbody.Budget) Options {
		o := memoryOptions()
		o.Budget, o.Clock = b, nil
		return o
	}
	good := otlpRequest(t, otlpCounter(base))
	for name, c := range map[string]struct {
		in    *Ingest
		body  []byte
		code  codes.Code
		text  string
		retry bool
	}{
		"malformed":   {newIngest(options(nil), doortest.Backend{Store: doortest.NewMemory()}), []byte("x"), codes.InvalidArgument, "malformed protobuf at byte 0", false},
		"busy":        {newIngest(options(nil), doortest.Backend{Store: busy}), good, codes.Unavailable, "not accepting writes", true},
		"no database": {New(memoryOptions()), good, codes.Unavailable, "not accepting writes", true},
		"no memory":   {newIngest(options(full), doortest.Backend{Store: doortest.NewMemory()}), good, codes.Unavailable, "hold too much memory", true},
		"a fault":     {newIngest(options(nil), doortest.Backend{Store: broken}), good, codes.Internal, "a fault", false},
	} {
		t.Run(name, func(t *testing.T) {
			conn, _ := dialRPC(t, c.in)
			var answer []byte
			err := conn.Invoke(t.Context(), otlpExport, c.body, &answer, grpc.ForceCodec(rawMessage{}))
			s := status.Convert(err)
			retry := false
			for _, x := range s.Details() {
				info, ok := x.(*errdetails.RetryInfo)
				retry = retry || ok && info.RetryDelay.AsDuration() > 0
			}
			if s.Code() != c.code || !strings.Contains(s.Message(), c.text) || retry != c.retry {
				t.Errorf("%v %v", err, s.Details())
			}
		})
	}
}
