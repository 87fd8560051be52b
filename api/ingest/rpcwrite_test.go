package ingest

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/storage"
)

// rpcServer is a gRPC server that the test stops.
type rpcServer struct {
	*grpc.Server
	stopping chan struct{}
}

func (s rpcServer) Stopping() <-chan struct{} { return s.stopping }

// serveRPC serves the gRPC doors and returns a client of our own.
func serveRPC(t testing.TB, in *Ingest) (tsdbv1.WriteClient, rpcServer) {
	t.Helper()
	conn, s := dialRPC(t, in)
	return tsdbv1.NewWriteClient(conn), s
}

// dialRPC serves the gRPC doors and returns a connection.
func dialRPC(t testing.TB, in *Ingest) (*grpc.ClientConn, rpcServer) {
	t.Helper()
	l := bufconn.Listen(1 << 16)
	s := rpcServer{grpc.NewServer(grpc.ForceServerCodecV2(reqbody.Codec())), make(chan struct{})}
	in.RegisterRPC(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn, s
}

func rpcLabels(namesAndValues ...string) []*tsdbv1.Label {
	var ls []*tsdbv1.Label
	for i := 0; i < len(namesAndValues); i += 2 {
		ls = append(ls, &tsdbv1.Label{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return ls
}

// openWrite opens a stream; send sends and receives the answer.
func openWrite(t testing.TB, c tsdbv1.WriteClient) (send func(*tsdbv1.WriteRequest) (*tsdbv1.WriteResponse, error), closeSend func() error) {
	t.Helper()
	stream, err := c.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func(r *tsdbv1.WriteRequest) (*tsdbv1.WriteResponse, error) {
			if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
			return stream.Recv()
		}, func() error {
			if err := stream.CloseSend(); err != nil {
				return err
			}
			_, err := stream.Recv()
			return err
		}
}

func TestRPCWriteStoresAndAnswers(t *testing.T) {
	d := openDoor(t)
	client, _ := serveRPC(t, d.in)
	send, done := openWrite(t, client)
	stale := math.Float64frombits(value.StaleNaN)
	integers := &tsdbv1.Histogram{
		TimeMs: base, StartMs: base - 5, Schema: 1, Sum: 3.5, ZeroThreshold: 0.01, PositiveSpans: []*tsdbv1.BucketSpan{{Offset: 1, Length: 2}},
		Counts: &tsdbv1.Histogram_Integers{Integers: &tsdbv1.IntegerCounts{Count: 6, ZeroCount: 1, PositiveDeltas: []int64{2, 1}}},
	}
	floats := &tsdbv1.Histogram{
		TimeMs: base + 1, Schema: -53, Sum: 1, CustomValues: []float64{1, 2}, ResetHint: tsdbv1.Histogram_RESET_HINT_GAUGE,
		PositiveSpans: []*tsdbv1.BucketSpan{{Length: 1}}, Counts: &tsdbv1.Histogram_Floats{Floats: &tsdbv1.FloatCounts{Count: 0.5, Positive: []float64{0.5}}},
	}
	for sequence := uint64(3); sequence < 6; sequence++ { // repeating is harmless
		got, err := send(&tsdbv1.WriteRequest{Sequence: sequence, Series: []*tsdbv1.SeriesSamples{
			{
				Labels:  rpcLabels("b", "x", "__name__", "f", "empty", ""),
				TimesMs: []int64{base, base - 1000, base + 1}, Values: []float64{math.Copysign(0, -1), math.NaN(), stale}, StartTimesMs: []int64{0, 7, 0},
				Exemplars: []*tsdbv1.Exemplar{{Labels: rpcLabels("trace_id", "a"), TimeMs: base, Value: 2}},
			},
			{Labels: rpcLabels("__name__", "h"), Histograms: []*tsdbv1.Histogram{integers, floats}},
		}, Metadata: []*tsdbv1.MetricMetadata{{Metric: "f", Type: "gauge", Unit: "seconds", Help: "F."}}})
		if err != nil || got.Sequence != sequence || got.Floats != 3 || got.Histograms != 2 || got.Exemplars != 1 || len(got.Rejected) != 0 {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if err := done(); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
	stored := d.stored()
	f, h := stored[`{__name__="f", b="x"}`], stored[`{__name__="h"}`]
	if len(stored) != 2 || f == nil || h == nil {
		t.Fatalf("stored %v", stored)
	}
	if f.Len() != 3 || f.T[0] != base-1000 || f.StartAt(0) != 7 || !math.Signbit(f.V[1]) || math.Float64bits(f.V[2]) != value.StaleNaN {
		t.Errorf("floats %+v", f)
	}
	if h.Len() != 2 || h.HistogramAt(0).Int == nil || h.HistogramAt(0).Int.Count != 6 || h.StartAt(0) != base-5 || h.HistogramAt(1).Float == nil {
		t.Errorf("histograms %+v", h)
	}
	v, err := d.db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	if m, _, err := v.Metadata(t.Context(), model.DefaultTenant, ""); err != nil || len(m["f"]) != 1 || m["f"][0] != (model.Metadata{Type: "gauge", Unit: "seconds", Help: "F."}) {
		t.Errorf("metadata %v, %v", m, err)
	}
}

func TestRPCWriteRefusesSampleBySample(t *testing.T) {
	d := openDoor(t)
	client, _ := serveRPC(t, d.in)
	send, _ := openWrite(t, client)
	one := func(ls []*tsdbv1.Label, at int64) *tsdbv1.SeriesSamples {
		return &tsdbv1.SeriesSamples{Labels: ls, TimesMs: []int64{at}, Values: []float64{1}}
	}
	got, err := send(&tsdbv1.WriteRequest{Sequence: 1, Series: []*tsdbv1.SeriesSamples{
		one(rpcLabels("__name__", "good"), base),
		one(rpcLabels("__name__", "old"), 1),
		one(rpcLabels("__name__", "new"), base+3*model.DayMs),
		one(rpcLabels("a", "b"), base),
		one(rpcLabels("__name__", "m", "a", "1", "a", "2"), base),
		one(rpcLabels("__name__", "m", "", "2"), base),
		one(rpcLabels("__name__", "m", "a", strings.Repeat("x", 17<<10)), base),
		{Labels: rpcLabels("__name__", "h"), Histograms: []*tsdbv1.Histogram{{TimeMs: base}, {TimeMs: base,
			Counts: &tsdbv1.Histogram_Integers{Integers: &tsdbv1.IntegerCounts{Count: 6}}, PositiveSpans: []*tsdbv1.BucketSpan{{Length: 9}}}, {TimeMs: base,
			Counts:        &tsdbv1.Histogram_Integers{Integers: &tsdbv1.IntegerCounts{Count: 1, PositiveDeltas: []int64{1}}},
			PositiveSpans: []*tsdbv1.BucketSpan{{Offset: math.MaxInt32, Length: 1}}}}},
		{Labels: rpcLabels("__name__", "good"), Exemplars: []*tsdbv1.Exemplar{{TimeMs: base, Labels: rpcLabels("a", strings.Repeat("x", 129))}}},
		{Labels: rpcLabels("nothing", "here")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Floats != 1 || got.Histograms != 0 || got.Exemplars != 0 {
		t.Errorf("stored %v", got)
	}
	want := map[string]uint64{
		"too_old": 1, "too_new": 1, "no_name": 1, "duplicate_label": 1, "bad_label": 1, "limit": 1, "bad_histogram": 3, "bad_exemplar": 1,
	}
	for _, r := range got.Rejected {
		if want[r.Reason] != r.Count || r.Example == "" {
			t.Errorf("rejected %v", r)
		}
		delete(want, r.Reason)
	}
	if len(want) != 0 {
		t.Errorf("not rejected: %v", want)
	}
	if n := len(d.stored()); n != 1 {
		t.Errorf("%d series", n)
	}
}

func TestRPCWriteEndsTheStreamAtInconsistentRequests(t *testing.T) {
	d := openDoor(t)
	client, _ := serveRPC(t, d.in)
	good := &tsdbv1.SeriesSamples{Labels: rpcLabels("__name__", "m"), TimesMs: []int64{base}, Values: []float64{1}}
	for name, r := range map[string]*tsdbv1.WriteRequest{
		"no sequence": {Series: []*tsdbv1.SeriesSamples{good}},
		"times":       {Sequence: 1, Series: []*tsdbv1.SeriesSamples{good, {Labels: good.Labels, Values: []float64{1}}}},
		"starts":      {Sequence: 1, Series: []*tsdbv1.SeriesSamples{good, {Labels: good.Labels, TimesMs: []int64{base}, Values: []float64{1}, StartTimesMs: []int64{1, 2}}}},
	} {
		send, _ := openWrite(t, client)
		if _, err := send(r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(d.stored()); n != 0 {
		t.Errorf("%d series", n)
	}
	send, _ := openWrite(t, client)
	if _, err := send(&tsdbv1.WriteRequest{Sequence: 5}); err != nil {
		t.Errorf("an empty request: %v", err)
	}
	if _, err := send(&tsdbv1.WriteRequest{Sequence: 5}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("the same number again: %v", err)
	}
}

func TestRPCWriteSendsARetryDelay(t *testing.T) {
	m := doortest.NewMemory()
	m.OnCommit = func() error { return storage.ErrBusy }
	client, server := serveRPC(t, newIngest(memoryOptions(), doortest.Backend{Store: m}))
	send, _ := openWrite(t, client)
	r := &tsdbv1.WriteRequest{Sequence: 1, Series: []*tsdbv1.SeriesSamples{{Labels: rpcLabels("__name__", "m"), TimesMs: []int64{base}, Values: []float64{1}}}}
	_, err := send(r)
	details := status.Convert(err).Details()
	if status.Code(err) != codes.Unavailable || len(details) != 1 || details[0].(*errdetails.RetryInfo).RetryDelay.Seconds != 1 {
		t.Errorf("busy: %v %v", err, details)
	}
	m.OnCommit = func() error { return errors.New("something else") }
	send, _ = openWrite(t, client)
	if _, err := send(r); status.Code(err) != codes.Internal {
		t.Errorf("an unknown error: %v", err)
	}

	// A stream that waits for its client ends when the server stops.
	m.OnCommit = func() error { return nil }
	send, _ = openWrite(t, client)
	if _, err := send(r); err != nil {
		t.Fatal(err)
	}
	stream, err := client.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	close(server.stopping)
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("stopping: %v", err)
	}
}
